"""Pure rules, one noun a file: no clock, no randomness, no I/O; times and random values are arguments."""
