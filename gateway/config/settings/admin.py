"""Settings of the admin listener: where it is, and who may do what there."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

from pydantic import Field

from gateway.config.settings.base import Model, Secret, Text
from gateway.config.settings.console import ConsoleSettings
from gateway.config.settings.listener import CertificateSettings

Role: TypeAlias = Literal["read", "revoke", "all"]
ROLES: Final[Mapping[Role, int]] = {"read": 0, "revoke": 1, "all": 2}
"""The roles, by what they may; each may all that a lower one may."""
UNNAMED: Final = "token"
"""The name of ``admin.token``."""
MOST_TOKENS: Final = 64


class AdminTokenSettings(Model):
    """One token of an operator or of a machine."""

    token: Secret
    """The bearer token itself, at least 16 characters."""
    role: Role
    """What it may: ``read`` looks, ``revoke`` ends sessions and keys as well, ``all`` may everything."""
    expires: Text | None = None
    """When it ends, in UTC: ``2027-06-30`` or ``2027-06-30T12:00:00Z``; absent: never."""


class AdminSettings(Model):
    """The admin listener: metrics and health need no token, everything else does."""

    listen: Text = "127.0.0.1:9090"
    """Address and port of metrics, health and revocation; never the public listener's."""
    token: Secret | None = None
    """Bearer token that may everything, at least 16 characters; without any nothing can be changed."""
    tokens: dict[Text, AdminTokenSettings] = Field(default_factory=dict, max_length=MOST_TOKENS)
    """More tokens by their names, which the audit log tells: one for each operator."""
    tls: CertificateSettings | None = None
    """TLS on the admin listener, by a certificate of its own; absent: plain HTTP."""
    hosts: tuple[Text, ...] = Field(default=(), max_length=16)
    """More names by which the listener may be asked, beside addresses and names that are not public."""
    console: ConsoleSettings | None = None
    """The operator's console, under ``/console/``; absent: there is none."""

    def named(self) -> Iterator[tuple[str, AdminTokenSettings]]:
        """Yield every token with its name, ``token`` first."""
        if self.token is not None:
            yield UNNAMED, AdminTokenSettings.model_construct(token=self.token, role="all", expires=None)
        yield from self.tokens.items()
