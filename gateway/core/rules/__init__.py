"""What the configuration lets happen: routes, policies, limits, the denylist."""
