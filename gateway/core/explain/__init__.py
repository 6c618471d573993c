"""What would happen to a request, and why: the decision itself, told piece by piece, without any effect."""
