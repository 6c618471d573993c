"""How a site gets its session where people log in at one host for all of them: what is asked for, and given.

The site seals what it asks for, and keeps the secret behind it in a cookie of its own. What it is given names
the login's session, the site, and the hash of that secret: who has the one without the other has nothing.
"""

import hashlib
from dataclasses import dataclass, field

from gateway.core.sessions import renewal
from gateway.core.sessions.model import Renewed
from gateway.core.sessions.payload import (
    TIME_BYTES,
    dump_json,
    load_json,
    read_count,
    read_text,
    read_texts,
    read_time,
)
from gateway.syntax.encoding import Json, encode_base64url

TICKET_SECONDS = 30.0
SECRET_BYTES = 32
JOIN = "join"
TICKET = "ticket"
"""What follows the prefix in the paths of these endpoints: where people log in, and at each site."""


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a site asks of the host where people log in.

    ``state`` names the pending login in its cookie, ``challenge`` is the hash of that one's secret. ``at`` is
    when it was asked, epoch seconds. ``provider`` is where the person wishes to log in, empty for anywhere;
    ``admits`` are the providers whose people come in, none for all. ``acr_values`` and ``max_age`` are what
    the login must be. ``had`` is the hash of the session that the site has, and that will not do.
    """

    site: str
    state: str = field(repr=False)
    challenge: str
    at: float
    provider: str = ""
    admits: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str = ""
    other_account: bool = False
    parameters: tuple[tuple[str, str], ...] = ()
    had: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a browser carries to a site: it shows what the store keeps under ``secret``, once."""

    secret: bytes = field(repr=False)
    challenge: str
    at: float


@dataclass(frozen=True, slots=True)
class Granted:
    """What the store keeps of a ticket: a session for a site and browser; ``handle`` leads to its record."""

    site: str
    challenge: str
    current: Renewed = field(repr=False)
    handle: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class NoTicket:
    """The store has nothing under a ticket's secret: it was taken, or is too old."""


def challenge_of(verifier: str) -> str:
    """Return the hash that stands for a pending login's secret."""
    return encode_base64url(hashlib.sha256(b"gateway join\x00" + verifier.encode()).digest())


def mark_of(session_id: str) -> str:
    """Return what names a session to the host where people log in, and to nobody else."""
    return encode_base64url(hashlib.sha256(b"gateway had\x00" + session_id.encode()).digest())[:22]


def request_purpose(origin: str) -> str:
    """Return what a request to the host at ``origin`` is sealed for."""
    return f"join {origin}"


def ticket_purpose(origin: str) -> str:
    """Return what a ticket for the site at ``origin`` is sealed for."""
    return f"ticket {origin}"


def encode_request(request: JoinRequest) -> bytes:
    """Return what the request's parameter seals."""
    fields: dict[str, Json] = {
        "s": request.site,
        "st": request.state,
        "c": request.challenge,
        "at": round(request.at, 3),
        "p": request.provider,
        "ad": list(request.admits),
        "ac": list(request.acr_values),
        "ma": request.max_age,
        "lh": request.login_hint,
        "oa": 1 if request.other_account else None,
        "pa": [list(pair) for pair in request.parameters],
        "ha": request.had,
    }
    absent: tuple[Json, ...] = (None, "", [])
    return dump_json({name: value for name, value in fields.items() if value not in absent})


def decode_request(data: bytes) -> JoinRequest | None:
    """Return the request of such a payload, or None."""
    fields = load_json(data)
    if fields is None:
        return None
    try:
        pairs = fields.get("pa", [])
        if not isinstance(pairs, list):
            return None
        parameters = tuple((name, value) for name, value in map(read_texts, pairs))
        return JoinRequest(
            site=read_text(fields["s"]),
            state=read_text(fields["st"]),
            challenge=read_text(fields["c"]),
            at=read_time(fields["at"]),
            provider=read_text(fields.get("p", "")),
            admits=tuple(read_texts(fields.get("ad", []))),
            acr_values=tuple(read_texts(fields.get("ac", []))),
            max_age=read_count(fields["ma"]) if "ma" in fields else None,
            login_hint=read_text(fields.get("lh", "")),
            other_account="oa" in fields,
            parameters=parameters,
            had=read_text(fields.get("ha", "")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def encode_ticket(ticket: Ticket) -> bytes:
    """Return what the ticket's parameter seals."""
    at = int(ticket.at * 1000).to_bytes(TIME_BYTES, "big")
    return ticket.secret + at + ticket.challenge.encode()


def decode_ticket(data: bytes) -> Ticket | None:
    """Return the ticket of such a payload, or None."""
    end = SECRET_BYTES + TIME_BYTES
    if len(data) <= end or not data[end:].isascii():
        return None
    at = int.from_bytes(data[SECRET_BYTES:end], "big") / 1000
    return Ticket(data[:SECRET_BYTES], data[end:].decode("ascii"), at)


def encode_granted(granted: Granted) -> bytes:
    """Return what the store keeps, sealed."""
    fields: dict[str, Json] = {
        "s": granted.site,
        "c": granted.challenge,
        "r": renewal.encode_outcome(granted.current).decode("ascii"),
        "h": granted.handle,
    }
    return dump_json(fields)


def decode_granted(data: bytes) -> Granted | None:
    """Return what such a payload grants, or None."""
    fields = load_json(data)
    if fields is None:
        return None
    try:
        current = renewal.decode_outcome(read_text(fields["r"]).encode())
        if not isinstance(current, Renewed):
            return None
        return Granted(read_text(fields["s"]), read_text(fields["c"]), current, read_text(fields["h"]))
    except (KeyError, TypeError, ValueError):
        return None
