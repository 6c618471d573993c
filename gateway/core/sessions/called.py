"""What people are called, for operators who look for them (``admin.console``): beside the list of sessions.

It is sealed under the ring, apart from what the list says of a session, so that it can be left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.syntax.encoding import Json

CALLED_PURPOSE: Final = "session called"
CLAIMS: Final = ("name", "email", "preferred_username")
"""The claims that it is taken from."""
_MOST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Called:
    """A person's name, e-mail address and user name; what is not told is empty."""

    name: str = ""
    email: str = ""
    username: str = ""

    @property
    def exact(self) -> tuple[str, ...]:
        """By which somebody is found at once: address and user name, however they are written."""
        return tuple(dict.fromkeys(folded(each) for each in (self.email, self.username) if each))

    def to_json(self) -> dict[str, Json]:
        """Return what is told as a JSON object."""
        told = {"name": self.name, "email": self.email, "username": self.username}
        return {name: text for name, text in told.items() if text}


NOBODY: Final = Called()


def folded(text: str) -> str:
    """Return a text as it is compared: letters of either case are the same."""
    return text.casefold()


def called_of(claims: Mapping[str, Json]) -> Called:
    """Return what claims call somebody; what is no text, or too long to be one, counts as not told."""
    texts = [claims.get(name) for name in CLAIMS]
    return Called(*(each if isinstance(each, str) and len(each) <= _MOST_TEXT else "" for each in texts))


def encode_called(called: Called) -> bytes:
    """Return what the store keeps, sealed."""
    return json.dumps([called.name, called.email, called.username]).encode()


def decode_called(data: bytes) -> Called:
    """Return what such bytes call somebody; nothing for garbage."""
    try:
        texts = json.loads(data)
    except (ValueError, RecursionError):
        return NOBODY
    is_whole = isinstance(texts, list) and len(texts) == len(CLAIMS)
    if not is_whole or not all(isinstance(text, str) and len(text) <= _MOST_TEXT for text in texts):
        return NOBODY
    return Called(*texts)
