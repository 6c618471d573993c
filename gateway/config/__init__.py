"""What can be set: settings, their checks, what a reload may change. Pure and synchronous."""
