"""``gateway init``: six questions, and a first configuration."""
