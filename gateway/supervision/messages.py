"""What travels on the control channel, as JSON.

The settings travel with their secrets in the clear: the channel is a socket pair that nobody else holds, and
so every worker runs exactly what the supervisor has read and checked.
"""

from dataclasses import asdict
from typing import Any, cast

from pydantic import SecretStr

from gateway.config.settings.root import Settings
from gateway.core.rules.entries import DenyEntry
from gateway.syntax.encoding import Json


def encode_settings(settings: Settings) -> Json:
    """Return validated settings as JSON, secrets included."""
    return _reveal(settings.model_dump())


def decode_settings(data: Json) -> Settings:
    """Return the settings that were encoded."""
    return Settings.model_validate(data)


def encode_entries(entries: list[DenyEntry]) -> Json:
    """Return denylist entries as JSON."""
    return [cast("Json", asdict(entry)) for entry in entries]


def decode_entries(data: Json) -> list[DenyEntry]:
    """Return the entries that were encoded."""
    assert isinstance(data, list)
    return [_entry(cast("dict[str, Any]", each)) for each in data]


def _entry(fields: dict[str, Any]) -> DenyEntry:
    position = fields.pop("position")
    return DenyEntry(**fields, position=tuple(position) if position is not None else None)


def _reveal(value: object) -> Json:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {str(name): _reveal(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_reveal(each) for each in value]
    assert value is None or isinstance(value, bool | int | float | str)
    return value
