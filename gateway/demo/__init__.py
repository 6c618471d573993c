"""An identity provider and an upstream to try the gateway with. Loopback only."""
