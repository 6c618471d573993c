"""Session records in the store, and what else of a session is kept there."""
