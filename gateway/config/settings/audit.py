"""Settings of the audit log: where its lines go, and whether the store keeps what they tell."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from gateway.config.settings.base import Duration, Model, Number, Text


class KeepSettings(Model):
    """Audit events in the store, so that they can be asked for; bound in age and in number."""

    model_config = ConfigDict(serialize_by_alias=True)

    for_: Duration = Field(default=30 * 86400.0, alias="for")
    """How long an event is kept."""
    most: Annotated[Number, Field(ge=100, le=100_000_000)] = 1_000_000
    """The most events that are kept: the oldest make room."""


class AuditSettings(Model):
    """The audit log."""

    to: Annotated[Text, Field(pattern=r"^(log|stderr|stdout|syslog|journald|file:/.+)$")] = "log"
    """Where events go: ``log`` is where all lines go, ``file:/path`` a file of their own, chained."""
    sync: Literal["never", "second", "each"] = "second"
    """When a file is forced to disk: never, a second after a write at the latest, or after each write."""
    keep: KeepSettings | None = None
    """Events in the store as well, chained, for ``gateway audit``; absent: none is kept there."""
