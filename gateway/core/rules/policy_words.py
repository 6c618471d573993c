"""What policies ask for, in words for who lacks it. No value of a claim is told, and no network."""

from collections.abc import Sequence
from typing import Final

from gateway.config.settings.policies import RequireSettings

MOST_WORDS: Final = 300
_MOST_NAMES: Final = 8


def words_of(name: str, settings: RequireSettings) -> str:
    """Return what a policy asks for, by its key of ``require``; empty where there are no words for it."""
    one_of = {
        "groups": ("the group", "one of the groups", settings.groups),
        "roles": ("the role", "one of the roles", settings.roles),
        "email_domains": (
            "a verified e-mail address of",
            "a verified e-mail address of",
            settings.email_domains,
        ),
    }
    if name in one_of:
        single, several, names = one_of[name]
        return f"{single if len(names or ()) == 1 else several} {_listed(names or (), 'or')}"
    if name == "scopes":
        number = len(settings.scopes or ())
        return f"the scope{'' if number == 1 else 's'} {_listed(settings.scopes or (), 'and')}"
    if name == "claims":
        claims = tuple(settings.claims or ())
        number = len(claims)
        return f"the claim{'' if number == 1 else 's'} {_listed(claims, 'and')}, as required here"
    return {
        "networks": "a connection from a network that is let in here",
        "methods": "a right to do this, and not only to look",
        "acr": "a stronger login",
        "max_age": "a more recent login",
    }.get(name, "")


def either(words: Sequence[str]) -> str:
    """Return the words for that one of several is asked for."""
    return shortened(", or ".join(_within(words)))


def both(words: Sequence[str]) -> str:
    """Return the words for that all of several are asked for."""
    return shortened(", and ".join(_within(words)))


def _within(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(each.rstrip(".") for each in words if each))


NOT_KEPT_OUT: Final = "an account that is not kept out here"


def shortened(text: str) -> str:
    """Return a text that a page can show."""
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "\u2026"


def _listed(names: Sequence[str], link: str) -> str:
    if not names:
        return ""
    shown = [*names[:_MOST_NAMES], *(["\u2026"] if len(names) > _MOST_NAMES else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {link} {shown[-1]}"
