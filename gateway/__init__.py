"""Token Gateway: an authenticating reverse proxy for OpenID Connect and OAuth 2.0."""

__version__ = "0.1.0"
