"""Rate limits: counted here, or in the store for all together."""
