"""Sessions and API keys as an operator reads them in a terminal: a line each, a page, or JSON."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

MOST_PAGE = 250
_TIMES = frozenset({"since", "last_seen", "ends", "created", "expires", "last_used", "revoked"})


def rows_of(answer: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the sessions of an answer to a list; whatever is none is left out."""
    sessions = answer.get("sessions")
    return [each for each in sessions if isinstance(each, dict)] if isinstance(sessions, list) else []


def json_line(session: Mapping[str, object]) -> str:
    """Return a session as one line of JSON."""
    return json.dumps(session)


def describe_line(session: Mapping[str, object]) -> str:
    """Return a session on one line: id, since when, last seen, from where, with which provider, who."""
    names = ("session_id", "since", "last_seen", "address", "provider", "subject")
    return "  ".join(_shown(name, session.get(name)) for name in names)


def describe_key(key: Mapping[str, object]) -> str:
    """Return an API key on one line: its id, times, where it is kept, what it may, and whose it is."""
    scopes = key.get("scopes")
    told = ",".join(map(str, scopes)) if isinstance(scopes, list) and scopes else None
    names = ("id", "created", "last_used", "expires", "revoked", "source", "scopes", "owner")
    return "  ".join(_shown(name, told if name == "scopes" else key.get(name)) for name in names)


def describe_page(session: Mapping[str, object]) -> str:
    """Return a session with a line for each of its members."""
    width = max((len(name) for name in session), default=0)
    return "\n".join(f"{_plain(name):{width}}  {_shown(name, value)}" for name, value in session.items())


def _shown(name: str, value: object) -> str:
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError, OSError):
            return "?"
    return _plain("-" if value is None else value)


def _plain(value: object) -> str:
    value = " ".join(map(str, value)) if isinstance(value, list) else value
    # a user agent or a subject must not move the terminal's cursor
    return "".join(sign if sign.isprintable() else "?" for sign in str(value)[:300])
