"""API keys: what the store keeps of them."""
