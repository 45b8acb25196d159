"""What is run on the project, not by it."""
