"""How a token call ended, and how a rotation did."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Success:
    """The provider gave new tokens; ``sealed`` is the result as the store may keep it."""

    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The provider refused the refresh token. ``error`` is RFC 6749's code (section 5.2)."""

    error: str


@dataclass(frozen=True, slots=True)
class Stored:
    """How the rotation ended, for everybody who asks."""

    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spent:
    """The rotation was confirmed and its grace has passed: this is reuse."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An earlier call may have rotated the token, and its answer never came."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The provider refused, and that counts."""

    error: str


Call: TypeAlias = Callable[[], Awaitable[Success | Refusal]]
Obtained: TypeAlias = Stored | Spent | Lost | Ended


def judge(reply: list[Any]) -> Obtained | None:
    """Return what a script's reply decides, or None where it decides nothing."""
    word = reply[0]
    if word == b"stored":
        return Stored(reply[1])
    if word == b"spent":
        return Spent()
    if word == b"verdict":
        name, _, error = reply[1].decode("utf-8", "replace").partition(" ")
        return Ended(error) if name == "ended" else Lost()
    return None
