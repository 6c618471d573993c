"""The way of a request: decide, fetch what is lacking, forward or respond."""
