"""What ``gateway doctor`` finds out about a login that fails."""
