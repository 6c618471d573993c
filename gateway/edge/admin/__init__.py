"""The admin listener: metrics, health, revocation, sessions."""
