"""Sessions, grants and pending logins as bytes, and back. Decoding is total: garbage gives None."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from gateway.core.sessions.model import Grant, Session, Source, Told
from gateway.core.sessions.payload import (
    dump_json,
    load_json,
    position_field,
    position_from,
    read_claims,
    read_count,
    read_name,
    read_optional,
    read_text,
    read_texts,
    read_time,
)
from gateway.syntax.encoding import Json, encode_base64url

MOST_UNCONFIRMED: Final = 16
VERSION: Final = 2
"""Of the payloads. Each version reads those before it, and ignores members that it does not know."""

_SOURCES: dict[str, Source] = {"i": "id_token", "u": "userinfo", "a": "access_token"}


def _told_fields(session: Session) -> dict[str, Json]:
    places = {name: place for place, name in enumerate(session.claims)}
    return {
        sign: [round(told.at, 3), *(places.get(name, name) for name in sorted(told.names))]
        for sign, source in _SOURCES.items()
        if (told := session.told.get(source)) is not None
    }


def _told_from(value: Json, claims: Mapping[str, Json]) -> dict[Source, Told]:
    names = tuple(claims)
    found: dict[Source, Told] = {}
    for sign, entry in read_claims(value).items():
        if not isinstance(entry, list) or not entry:
            raise TypeError
        at, *told = entry
        if (source := _SOURCES.get(sign)) is not None:
            found[source] = Told(read_time(at), frozenset(read_name(each, names) for each in told))
    return found


def session_fields(session: Session) -> dict[str, Json]:
    """Return a session as a JSON object with short names; times are seconds since the epoch."""
    fields: dict[str, Json] = {
        "v": VERSION,
        "id": session.session_id,
        "p": session.provider,
        "iss": session.issuer,
        "sub": session.subject,
        "sid": session.sid,
        "c": dict(session.claims),
        "sc": [*sorted(session.scopes)],
        "li": round(session.login_at, 3),
        "en": round(session.ends_at, 3),
        "se": round(session.seen_at, 3),
        "re": round(session.renewed_at, 3),
        "ae": round(session.access_expires_at, 3),
        "g": session.generation,
        "at": session.access_token,
    }
    if session.position is not None:
        fields["po"] = position_field(session.position)
    if session.told:
        fields["cs"] = _told_fields(session)
    if session.claims_at is not None:
        fields["ca"] = round(session.claims_at, 3)
    if session.is_unrenewable:
        fields["nr"] = True
    if session.is_shared:
        fields["sh"] = True
    return fields


def session_from(fields: Mapping[str, Json]) -> Session | None:
    """Return the session of such an object, or None where a member is missing or of the wrong type."""
    try:
        claims, claims_at = read_claims(fields["c"]), fields.get("ca")
        return Session(
            session_id=read_text(fields["id"]),
            provider=read_text(fields["p"]),
            issuer=read_text(fields["iss"]),
            subject=read_text(fields["sub"]),
            sid=read_optional(fields["sid"]),
            claims=claims,
            scopes=frozenset(read_texts(fields["sc"])),
            login_at=read_time(fields["li"]),
            ends_at=read_time(fields["en"]),
            seen_at=read_time(fields["se"]),
            renewed_at=read_time(fields["re"]),
            access_expires_at=read_time(fields["ae"]),
            generation=read_count(fields["g"]),
            access_token=read_optional(fields["at"]),
            told=_told_from(fields.get("cs", {}), claims),
            claims_at=None if claims_at is None else read_time(claims_at),
            position=position_from(fields.get("po")),
            is_unrenewable=fields.get("nr") is True,
            is_shared=fields.get("sh") is True,
        )
    except (KeyError, IndexError, TypeError):
        return None


def rotation_name(session_id: str, former: str) -> str:
    """Name a rotation with its session, where ``former`` is what the version before calls it."""
    digest = hashlib.sha256(json.dumps([session_id, former]).encode()).digest()
    return f"{former}.{encode_base64url(digest)[:22]}"


def former_name(rotation: str) -> str:
    """Return the name that the version before gives to a rotation; it does not tell its session."""
    return rotation.partition(".")[0]


def grant_fields(grant: Grant) -> dict[str, Json]:
    """Return a grant as a JSON object with short names.

    Rotations have their former names there: workers of the version before confirm them, too.
    """
    fields: dict[str, Json] = {
        "v": VERSION,
        "id": grant.session_id,
        "g": grant.generation,
        "rt": grant.refresh_token,
        "u": [former_name(name) for name in grant.unconfirmed],
    }
    if grant.handle:
        fields["h"] = grant.handle
    return fields


def grant_from(fields: Mapping[str, Json]) -> Grant | None:
    """Return the grant of such an object, or None."""
    try:
        session_id, handle = read_text(fields["id"]), read_text(fields.get("h", ""))
        names = read_texts(fields["u"])[:MOST_UNCONFIRMED]
        return Grant(
            session_id=session_id,
            generation=read_count(fields["g"]),
            refresh_token=read_text(fields["rt"]),
            # a handle's rotation has its record's name, which is no other session's
            unconfirmed=tuple(
                names if handle else (rotation_name(session_id, former_name(name)) for name in names)
            ),
            handle=handle,
        )
    except (KeyError, TypeError):
        return None


def encode_session(session: Session) -> bytes:
    """Return what the session cookie seals."""
    return dump_json(session_fields(session))


def decode_session(data: bytes) -> Session | None:
    """Return the session of a session cookie's payload, or None."""
    fields = load_json(data)
    return None if fields is None else session_from(fields)


def encode_grant(grant: Grant) -> bytes:
    """Return what the refresh cookie seals."""
    return dump_json(grant_fields(grant))


def decode_grant(data: bytes) -> Grant | None:
    """Return the grant of a refresh cookie's payload, or None."""
    fields = load_json(data)
    return None if fields is None else grant_from(fields)
