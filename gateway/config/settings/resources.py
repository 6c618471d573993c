"""Settings of routes that are protected resources for clients that find their own way (RFC 9728)."""

from gateway.config.settings.base import Model, Text


class ResourceSettings(Model):
    """What is published of a route, for agents (MCP) and other clients that register themselves."""

    identifier: Text | None = None
    """The resource's URL, which access tokens have to name; absent: the only ``public_url`` and the path."""
    scopes: tuple[Text, ...] = ()
    """The scopes that clients are told to ask for."""
    name: Text | None = None
    """What people know it as."""
    documentation: Text | None = None
    """The URL of a page for developers."""
