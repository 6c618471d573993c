"""What policies ask for, in words for who lacks it. No value of a claim is told, and no network."""

from collections.abc import Sequence
from typing import Final

from gateway.config.settings.policies import RequireSettings
from gateway.core.phrases import Phrase

MOST_WORDS: Final = 300
_MOST_NAMES: Final = 8
_PLAIN: Final = ("networks", "methods", "acr", "max_age")


def words_of(name: str, settings: RequireSettings) -> str:
    """Return what a policy asks for, by its key of ``require``; empty where there are no words for it."""
    one_of = {
        "groups": ("group", "groups", settings.groups),
        "roles": ("role", "roles", settings.roles),
        "email_domains": ("email_domains", "email_domains", settings.email_domains),
    }
    if name in one_of:
        single, several, names = one_of[name]
        return Phrase.of(single if len(names or ()) == 1 else several, names=_shown(names or ()))
    if name in ("scopes", "claims"):
        names = settings.scopes or () if name == "scopes" else tuple(settings.claims or ())
        return Phrase.of(name[:-1] if len(names) == 1 else name, "and", names=_shown(names))
    return Phrase.of(name) if name in _PLAIN else ""


def either(words: Sequence[str]) -> str:
    """Return the words for that one of several is asked for."""
    return _joined(words, "or")


def both(words: Sequence[str]) -> str:
    """Return the words for that all of several are asked for."""
    return _joined(words, "and")


def _joined(words: Sequence[str], link: str) -> str:
    within = tuple(dict.fromkeys(_without_stop(each) for each in words if each))
    if len(within) == 1:
        return shortened(within[0])
    return shortened(Phrase.joined(within, link))


def _without_stop(words: str) -> str:
    # one that a phrase ends in is no full stop
    return words.rstrip(".") if words.endswith(".") else words


NOT_KEPT_OUT: Final = Phrase.of("not_kept_out")


def shortened(text: str) -> str:
    """Return a text that a page can show."""
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "\u2026"


def _shown(names: Sequence[str]) -> tuple[str, ...]:
    return (*names[:_MOST_NAMES], *(["\u2026"] if len(names) > _MOST_NAMES else []))
