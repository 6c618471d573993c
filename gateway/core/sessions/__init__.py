"""Sessions as values: what is sealed, in which cookies, and when it is renewed."""
