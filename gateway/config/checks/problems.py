"""A problem of the configuration: where it is, and what to do about it."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

from gateway.syntax.tokens import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

Path: TypeAlias = tuple[str | int, ...]


def shown_key(key: str) -> str:
    """Return a key as errors show it; ``?`` for one that is no plain word, since a value may hide in it."""
    return key if NAME.fullmatch(key) else "?"


def shown_path(path: Path) -> str:
    """Return a path as ``routes[1].require.scopes``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shown_key(part)}" if text else shown_key(part)
    return text


def suggestion(word: str, known: "Iterable[str]") -> str:
    """Return `` - did you mean ...?`` with the known name that a word is close to, or nothing."""
    close = get_close_matches(word[:64], list(known), n=1, cutoff=0.6)
    return f" - did you mean {close[0]}?" if close else ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. ``line`` counts from 1, None where no line is to blame; no secret is in ``message``."""

    path: Path
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = shown_path(self.path)
        return f"{where}: {self.message}" if where else self.message
