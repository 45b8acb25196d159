"""The process that a user starts: phases, reflectors, host supervision, election, pages."""
