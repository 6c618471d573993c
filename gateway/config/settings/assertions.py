"""Settings of signed assertions: what an upstream is told of a caller, so that anybody can check it."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.settings.base import Model, Text, as_duration


class UpstreamAssertionSettings(Model):
    """A signed statement of who is calling, for this upstream alone."""

    audience: Text | None = None
    """What ``aud`` names; absent: the upstream's name."""
    lifetime: Annotated[float, Field(ge=60, le=600), as_duration] = 300.0
    """How long one holds; after half of it a new one is made."""
    claims: tuple[Text, ...] | None = None
    """The claims that are told, ``scope`` among them if named; absent: those of ``identity_headers``."""


class AssertionSettings(Model):
    """How assertions are signed, for every upstream that has ``assertion``."""

    algorithm: Literal["ES256", "EdDSA"] = "ES256"
    """The signature's algorithm; EdDSA is over Ed25519."""
    header: Text = "X-Gateway-Assertion"
    """The header field; clients cannot send it."""
    issuer: Text | None = None
    """What ``iss`` names; absent: the first ``public_url``."""
    rotate_every: Annotated[float, Field(ge=3600, le=366 * 86400), as_duration] = 30 * 86400.0
    """How long one key signs, at all gateways alike; the next one is published as long before."""
