"""Instructions that a program can make and check."""
