"""Sessions, grants and pending logins as bytes, and back. Decoding is total: garbage gives None."""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.model import Grant, Json, Position, Session, Source, Told
from gateway.syntax.encoding import encode_base64url

MOST_UNCONFIRMED = 16
VERSION = 2
"""Of the payloads. Each version reads those before it, and ignores members that it does not know."""

SECRET_BYTES = 32
_TIME_BYTES = 6
_PENDING_2 = b"\x02"
_SOURCES: dict[str, Source] = {"i": "id_token", "u": "userinfo", "a": "access_token"}


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that this browser has begun: what the callback is checked against (R3).

    ``callback`` is the path where its answer has to come back to, as ``core.access.pending`` shortens it (R71).
    ``secret`` is what the first three were derived from, empty in a login of an earlier version. ``position``
    is how far the denylist was applied then, None where unknown; ``is_repeated`` tells that it began by
    itself, after one that was evicted, or that a revocation overtook: the next revocation lets none begin so
    (R72). ``answer`` is what a form has brought of its response: code, issuer and error, empty where there
    was none.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    provider: str
    return_to: str
    started_at: float
    callback: str = ""
    secret: bytes = field(default=b"", repr=False)
    position: Position | None = None
    is_repeated: bool = False
    answer: tuple[str, str, str] | None = field(default=None, repr=False)


def begin_pending(
    secret: bytes,
    provider: str,
    return_to: str,
    started_at: float,
    callback: str,
    position: Position | None = None,
    *,
    is_repeated: bool = False,
    answer: tuple[str, str, str] | None = None,
) -> PendingLogin:
    """Return a login under way; state, nonce and verifier are derived from 32 random bytes."""
    state, nonce, verifier = (_derived(secret, use) for use in ("state", "nonce", "verifier"))
    return PendingLogin(
        state,
        nonce,
        verifier,
        provider,
        return_to,
        started_at,
        callback,
        secret,
        position,
        is_repeated,
        answer,
    )


def _derived(secret: bytes, use: str) -> str:
    # one-way and apart from one another: the state, which strangers see, tells nothing of the verifier
    return encode_base64url(hmac.digest(secret, f"login {use}".encode(), "sha256"))


def _dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _load(data: bytes) -> dict[str, Json] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _optional(value: Json) -> str | None:
    return None if value is None else _text(value)


def _time(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    try:
        time = float(value)
    except OverflowError:
        raise TypeError from None
    if not math.isfinite(time):
        raise TypeError
    return time


def _count(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _texts(value: Json) -> list[str]:
    if not isinstance(value, list):
        raise TypeError
    return [_text(each) for each in value]


def _claims(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError
    return value


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
    for sign, entry in _claims(value).items():
        if not isinstance(entry, list) or not entry:
            raise TypeError
        at, *told = entry
        if (source := _SOURCES.get(sign)) is not None:
            found[source] = Told(_time(at), frozenset(_name(each, names) for each in told))
    return found


def _name(value: Json, names: tuple[str, ...]) -> str:
    # a number is the place of a claim that is kept; others are written out
    return value if isinstance(value, str) else names[_count(value)]


def position_field(position: Position) -> Json:
    """Return a position of the denylist as JSON."""
    return list(position)


def position_from(value: Json) -> Position | None:
    """Return the position of such a value, None where it has none.

    Raises:
        TypeError: it is something else.
    """
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise TypeError
    return _text(value[0]), _count(value[1])


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
    return fields


def session_from(fields: Mapping[str, Json]) -> Session | None:
    """Return the session of such an object, or None where a member is missing or of the wrong type."""
    try:
        claims, claims_at = _claims(fields["c"]), fields.get("ca")
        return Session(
            session_id=_text(fields["id"]),
            provider=_text(fields["p"]),
            issuer=_text(fields["iss"]),
            subject=_text(fields["sub"]),
            sid=_optional(fields["sid"]),
            claims=claims,
            scopes=frozenset(_texts(fields["sc"])),
            login_at=_time(fields["li"]),
            ends_at=_time(fields["en"]),
            seen_at=_time(fields["se"]),
            renewed_at=_time(fields["re"]),
            access_expires_at=_time(fields["ae"]),
            generation=_count(fields["g"]),
            access_token=_optional(fields["at"]),
            told=_told_from(fields.get("cs", {}), claims),
            claims_at=None if claims_at is None else _time(claims_at),
            position=position_from(fields.get("po")),
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
        session_id, handle = _text(fields["id"]), _text(fields.get("h", ""))
        names = _texts(fields["u"])[:MOST_UNCONFIRMED]
        return Grant(
            session_id=session_id,
            generation=_count(fields["g"]),
            refresh_token=_text(fields["rt"]),
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
    return _dump(session_fields(session))


def decode_session(data: bytes) -> Session | None:
    """Return the session of a session cookie's payload, or None."""
    fields = _load(data)
    return None if fields is None else session_from(fields)


def encode_grant(grant: Grant) -> bytes:
    """Return what the refresh cookie seals."""
    return _dump(grant_fields(grant))


def decode_grant(data: bytes) -> Grant | None:
    """Return the grant of a refresh cookie's payload, or None."""
    fields = _load(data)
    return None if fields is None else grant_from(fields)


def encode_pending(pending: PendingLogin) -> bytes:
    """Return what a pending login's cookie seals: version 2, the secret, milliseconds, and a JSON object.

    Short, since a browser keeps up to 20 of them: the secret stands for what is derived from it.

    Raises:
        ValueError: a login of an earlier version, which has no secret.
    """
    if len(pending.secret) != SECRET_BYTES:
        raise ValueError("only what begin_pending made is sealed")
    fields: dict[str, Json] = {
        "p": pending.provider,
        "r": pending.return_to,
        "ru": pending.callback,
        "po": "" if pending.position is None else position_field(pending.position),
        "re": 1 if pending.is_repeated else "",
        "an": "" if pending.answer is None else list(pending.answer),
    }
    began = int(pending.started_at * 1000).to_bytes(_TIME_BYTES, "big")
    told = {name: value for name, value in fields.items() if value != ""}
    return _PENDING_2 + pending.secret + began + _dump(told)


def decode_pending(data: bytes) -> PendingLogin | None:
    """Return the pending login of such a payload, or None. Before version 2 it was a JSON list."""
    try:
        if data[:1] != _PENDING_2:
            state, nonce, verifier, provider, return_to, started = json.loads(data)
            return PendingLogin(
                _text(state), _text(nonce), _text(verifier), _text(provider), _text(return_to), _time(started)
            )
        start = 1 + SECRET_BYTES
        secret, began = data[1:start], data[start : start + _TIME_BYTES]
        fields = _claims(json.loads(data[start + _TIME_BYTES :]))
        return begin_pending(
            secret,
            _text(fields["p"]),
            _text(fields.get("r", "")),
            int.from_bytes(began, "big") / 1000,
            _text(fields.get("ru", "")),
            position_from(fields.get("po")),
            is_repeated="re" in fields,
            answer=_answer(fields.get("an")),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _answer(value: Json) -> tuple[str, str, str] | None:
    if value is None:
        return None
    code, issuer, error = _texts(value)
    return code, issuer, error


def encode_recent(recent: list[tuple[float, str]]) -> bytes:
    """Return what the cookie of recent callbacks seals: (epoch seconds, path) pairs."""
    return _dump([[round(at, 3), path] for at, path in recent])


def decode_recent(data: bytes) -> list[tuple[float, str]]:
    """Return the recent callbacks, empty for garbage."""
    try:
        return [(_time(at), _text(path)) for at, path in json.loads(data)]
    except (ValueError, TypeError, RecursionError):
        return []
