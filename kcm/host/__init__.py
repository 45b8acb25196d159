"""The child process that runs controllers: connect, declare, be fed, lead, stop, report."""
