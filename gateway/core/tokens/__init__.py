"""Tokens and keys: read, verified, judged."""
