"""The store: one Redis-protocol server, or several, or our own child."""
