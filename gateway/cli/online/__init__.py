"""What ``gateway check --online`` asks of everything that the configuration names."""
