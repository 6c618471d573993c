"""Ending a session, a person's everything, or a token: read from a form, asked once more, done, and told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.console.html import number
from gateway.edge.admin.console.people import KINDS, MOST_REASON
from gateway.edge.admin.revocation_request import Refused, Terms, parse_revocation
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.syntax.encoding import decode_base64url, parse_object

_MOST_BODY: Final = 16_384
_MOST_PAYLOAD: Final = 32_768
_MOST_VALUE: Final = 1024
_LATEST: Final = 1e12


def entry_of(fields: Mapping[str, str], terms: Terms, now: float) -> DenyEntry:
    """Return the entry that a form asks for, as ``POST /revoke`` reads it. Raises Refused."""
    kind, value, provider = (fields.get(name, "") for name in ("kind", "value", "provider"))
    if kind not in KINDS or not value:
        raise Refused("Say what to end, and its id.")
    asked = {kind: value}
    if kind != "session":
        asked["provider"] = provider
    body = json.dumps(asked).encode()
    if len(body) > _MOST_BODY or len(value) > _MOST_VALUE:
        raise Refused(f"An id has {_MOST_VALUE} characters at most.")
    return parse_revocation(body, _MOST_BODY, terms=terms, now=now)[0]


def reason_of(fields: Mapping[str, str]) -> str:
    """Return the reason that a form gives. Raises Refused: there is none, or it is too long."""
    reason = fields.get("reason", "").strip()
    if not any(map(str.isalnum, reason)):
        raise Refused("Say why: a reason is required.")
    if len(reason) > MOST_REASON:
        raise Refused(f"A reason has {MOST_REASON} characters at most.")
    return reason


def outcome(acknowledgement: Acknowledgement) -> tuple[str, str]:
    """Return the tone and the words for what an entry met."""
    met = [
        f"{number(count)} {name if count == 1 else name + 's'}"
        for count, name in (
            (acknowledgement.sessions, "session"),
            (acknowledgement.streams, "open connection"),
            (acknowledgement.keys, "API key"),
        )
        if count
    ]
    told = f"It met {', '.join(met)}." if met else "How many it met, nobody can tell."
    if not met and acknowledgement.sessions == 0:
        told = "It met no session that lives."
    holds = f"{len(acknowledgement.acknowledged)} of "
    holds += f"{len(acknowledgement.acknowledged) + len(acknowledgement.missing)} workers hold it."
    tone = "warn" if acknowledgement.missing or acknowledgement.sessions == 0 else "good"
    return tone, f"Done. {told} {holds}"


@dataclass(frozen=True, slots=True)
class Named:
    """A token by what names it: its ``jti``, its issuer where that is told, and its end (epoch seconds)."""

    jti: str
    issuer: str | None = None
    expires: float | None = None


def read_pasted(text: str) -> Named:
    """Return what a pasted token is named by, or a ``jti`` by itself. Raises Refused.

    Nothing is verified: whoever may revoke may revoke whatever they can name. Nothing else of it is read.
    """
    text = text.strip()
    text = text.removeprefix("Bearer ").strip()
    parts = text.split(".")
    if len(parts) == 3 and text.startswith("eyJ"):
        return _read_token(parts[1])
    if not text or len(text) > _MOST_VALUE or any(letter.isspace() for letter in text):
        raise Refused("This is neither a token nor a jti.")
    return Named(text)


def _read_token(payload: str) -> Named:
    data = decode_base64url(payload, _MOST_PAYLOAD)
    claims: Mapping[str, Any] | None = None if data is None else parse_object(data, _MOST_PAYLOAD)
    if claims is None:
        raise Refused("This token cannot be read.")
    jti, issuer, expires = (claims.get(name) for name in ("jti", "iss", "exp"))
    if not isinstance(jti, str) or not 0 < len(jti) <= _MOST_VALUE:
        raise Refused("This token has no jti, so it cannot be revoked alone: end everything of its person.")
    end: float | None = None
    if isinstance(expires, int | float) and not isinstance(expires, bool) and 0 < expires < _LATEST:
        end = float(expires)
    return Named(jti, issuer if isinstance(issuer, str) else None, end)
