"""Refreshing sessions: once, wherever the request for it comes from."""
