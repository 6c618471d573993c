"""Settings of the Authorization field that an upstream gets."""

from pydantic import Field

from gateway.config.settings.base import Model, Secret, Text


class BasicSettings(Model):
    """Basic credentials (RFC 7617) for an application that knows nothing else."""

    username: Text
    """The claim that is the user name; whoever has none is refused."""
    password: Secret | None = None
    """The password, the same for everybody; or ``password_claim``."""
    password_claim: Text | None = None
    """The claim that is the password; whoever has none is refused."""


class ExchangeSettings(Model):
    """The caller's access token, exchanged at its provider for one for the upstream (RFC 8693)."""

    audience: Text | None = None
    """The upstream's name at the provider; ``resource`` may stand in its place, or beside it."""
    resource: Text | None = None
    """The upstream's URI, as RFC 8707 has it."""
    scopes: tuple[Text, ...] = Field(default=(), max_length=64)
    """What the token is to be good for; without any, the provider decides."""


class AuthorizationSettings(Model):
    """What an upstream gets as Authorization instead of what the client sent: one of these."""

    basic: BasicSettings | None = None
    """Basic credentials made from claims."""
    exchange: ExchangeSettings | None = None
    """A token exchanged for the upstream's own."""
    value: Secret | None = None
    """The field's whole value, the same for everybody, such as ``Bearer ...``."""
