"""What is wrong with a configuration, all at once, each with its place."""
