"""The body of ``POST /revoke``: one entry of the denylist, read strictly."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, TypeAlias

from gateway.config.settings.root import Settings
from gateway.core.rules.entries import AS_WRITTEN, MARGIN, DenyEntry, EntryKind, key_end, session_end
from gateway.syntax.api_keys import is_key_id
from gateway.syntax.dates import read_date
from gateway.syntax.encoding import Json, parse_object

_KINDS: Final[tuple[EntryKind, ...]] = ("jti", "sid", "sub", "session", "key", "all")
_NOTES: Final = ("reason", "actor")
_TOLD_AS: Final = {"reason": "reason", "actor": "on_behalf_of"}
_KNOWN: Final = frozenset((*_KINDS, *_NOTES, "provider", "before"))
_MOST_VALUE: Final = 1024
_MOST_AHEAD: Final = 10 * 365 * 86400.0


class Refused(Exception):  # noqa: N818 - it refuses a request, it reports no error of ours
    """The body asks for nothing that can be done; its text is for the caller and repeats no value."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an entry is made by: ``issuers`` by the providers' names; durations in seconds.

    An API key of the store lives ``key_lifetime`` at most, one of the configuration until ``last_key``
    (epoch seconds).
    """

    issuers: Mapping[str, str]
    lifetime: float
    idle: float
    key_lifetime: float = 0.0
    last_key: float = 0.0


Mandate: TypeAlias = Mapping[str, str]
"""Who asks for a change and why, for the audit log.

``actor`` and ``actor_by`` as recognised, ``client``; ``reason`` and ``on_behalf_of`` as told.
"""


def mandate_of(fields: Mapping[str, Json]) -> dict[str, str]:
    """Return what of a request's members is a note for the audit log. Raises Refused.

    The member ``actor`` is what a caller says of itself, and no actor that anybody has recognised.
    """
    return {_TOLD_AS[name]: _text(name, fields[name]) for name in _NOTES if fields.get(name) is not None}


def parse_notes(body: bytes, limit: int) -> dict[str, str]:
    """Return the notes of a body that holds nothing else, none where it is empty. Raises Refused."""
    fields = parse_object(body, limit) if body.strip() else {}
    if fields is None or not fields.keys() <= frozenset(_NOTES):
        raise Refused("The body may be a JSON object with the members reason and actor.")
    return mandate_of(fields)


def terms_of(settings: Settings) -> Terms:
    """Return the terms of a configuration."""
    session = settings.session
    issuers = {name: each.issuer for name, each in settings.providers.items()}
    keys = settings.api_keys
    return Terms(
        issuers,
        session.absolute_lifetime,
        settings.copies_last,
        keys.most_lifetime if keys is not None else 0.0,
        max((read_date(each.expires) or 0.0 for each in keys.keys.values()), default=0.0) if keys else 0.0,
    )


def parse_revocation(
    body: bytes, limit: int, *, terms: Terms, now: float
) -> tuple[DenyEntry, dict[str, str]]:
    """Return the entry that a body asks for, and its notes for the audit log.

    A JSON object with exactly one of ``jti``, ``sid``, ``sub``, ``session``, ``key`` (texts) and ``all``
    (true). ``provider`` says whose ``jti``, ``sid`` or ``sub`` it is and is required where there are several;
    with ``all`` it limits the entry to that provider, with ``session`` and ``key`` it has no meaning and is
    refused.
    ``before`` (epoch seconds) means that time decides over sessions, too; without it whatever there is ends,
    and whoever logs in afterwards is in. A ``jti`` and a ``session`` name one thing, which is refused
    whenever it was issued: a provider's clock that is ahead saves no token. ``reason`` and ``actor`` are
    notes.

    Args:
        body: as it came.
        limit: the most bytes that it may have.
        terms: of the configuration; an entry lives ``terms.lifetime`` beyond ``before``.
        now: epoch seconds.

    Raises:
        Refused: anything else.
    """
    fields = parse_object(body, limit)
    if fields is None:
        raise Refused("The body must be one JSON object.")
    if not fields.keys() <= _KNOWN:
        raise Refused(f"The members are: {', '.join(sorted(_KNOWN))}.")
    mandate = mandate_of(fields)
    kind = _kind(fields)
    value = "" if kind == "all" else _text(kind, fields[kind])
    issuer = _issuer(kind, fields.get("provider"), terms.issuers)
    lifetime = terms.lifetime
    ahead = now + lifetime
    before = _time(fields["before"], now) if "before" in fields else ahead if kind in _SINGLE else now
    if kind == "session":
        return session_end(value, ahead, now, terms.idle), mandate
    last_key = max(now + terms.key_lifetime, terms.last_key)
    if kind == "key":
        if not is_key_id(value):
            raise Refused("The member key must be an API key's id: 16 characters of a-z and 2-7.")
        return key_end(value, last_key), mandate
    # an entry outlives what it names, and everything that spans every issuer names API keys as well
    ahead = max(ahead, last_key + MARGIN) if kind == "all" and not issuer else ahead
    # who names a time means that time; else whatever there is when the store takes it (R66)
    position = None if "before" in fields or kind in _SINGLE else AS_WRITTEN
    return DenyEntry(kind, issuer, value, before, max(before + lifetime, ahead), position), mandate


_SINGLE: Final = frozenset({"jti", "session", "key"})


def _kind(fields: Mapping[str, Json]) -> EntryKind:
    named = [kind for kind in _KINDS if kind in fields]
    if len(named) != 1:
        raise Refused(f"Name exactly one of {', '.join(_KINDS)}.")
    if named[0] == "all" and fields["all"] is not True:
        raise Refused("The member all must be true.")
    return named[0]


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str) or not value or len(value) > _MOST_VALUE:
        raise Refused(f"The member {name} must be a text of 1 to {_MOST_VALUE} characters.")
    return value


def _issuer(kind: EntryKind, provider: Json, issuers: Mapping[str, str]) -> str:
    if kind in ("session", "key"):
        if provider is not None:
            raise Refused("Sessions and API keys are the gateway's own: leave provider out.")
        return ""
    if provider is None:
        if kind == "all":
            return ""
        if len(issuers) != 1:
            raise Refused("There are several providers: name one with the member provider.")
        return next(iter(issuers.values()))
    if not isinstance(provider, str) or provider not in issuers:
        raise Refused(f"The member provider must be one of: {', '.join(sorted(issuers))}.")
    return issuers[provider]


def _time(value: Json, now: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Refused("The member before must be a number of seconds since the epoch.")
    if not 0 <= value <= now + _MOST_AHEAD:
        # milliseconds, most likely
        raise Refused("The member before must be seconds since the epoch, at most ten years from now.")
    return float(value)
