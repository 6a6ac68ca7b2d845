"""One page per command: make the parts, call the functions."""
