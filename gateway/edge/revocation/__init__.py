"""The denylist in every process, and the long-lived streams it ends."""
