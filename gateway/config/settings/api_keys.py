"""Settings of API keys, for machines that cannot log in."""

from typing import Final

from pydantic import Field

from gateway.config.settings.base import Duration, Model, Text

MOST_KEYS: Final = 1000
"""API keys in the configuration."""


class ApiKeySettings(Model):
    """One API key, of which only the SHA-256 is known here."""

    sha256: Text
    """The SHA-256 of the whole key in hex, as ``gateway keys api create --configuration`` prints it."""
    owner: Text
    """Who answers for it: what upstreams are told as ``sub``."""
    scopes: tuple[Text, ...] = ()
    """The scopes that it has."""
    expires: Text
    """When it ends, in UTC: ``2027-06-30`` or ``2027-06-30T12:00:00Z``."""
    created: Text | None = None
    """When it was made; absent: before everything that ``gateway revoke --all`` ever ended."""


class ApiKeysSettings(Model):
    """API keys: those of the store, and those listed here. A route takes them where it says so."""

    header: Text = "X-API-Key"
    """The field that brings one, beside ``Authorization: Bearer``; upstreams see it from nobody."""
    most_lifetime: Duration = 366 * 86400.0
    """The longest that a key which an operator makes may live."""
    keys: dict[Text, ApiKeySettings] = Field(default_factory=dict, max_length=MOST_KEYS)
    """Keys by their ids: 16 characters of a-z and 2-7."""
