"""The decision: pure and synchronous. No clock, no randomness, no I/O, no logging."""
