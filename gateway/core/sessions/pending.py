"""Logins under way, and those just done, as cookies hold them."""

import hmac
import json
from dataclasses import dataclass, field

from gateway.core.identity import Position
from gateway.core.sessions.payload import (
    TIME_BYTES,
    dump_json,
    position_field,
    position_from,
    read_claims,
    read_text,
    read_texts,
    read_time,
)
from gateway.syntax.encoding import Json, encode_base64url


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that this browser has begun: what the callback is checked against (R3).

    ``callback`` is the path where its answer has to come back to, as ``core.access.pending`` shortens it
    (R71). ``secret`` is what the first three were derived from, empty in a login of an earlier version.
    ``position`` is how far the denylist was applied then, None where unknown; ``is_repeated`` tells that it
    began by itself, after one that was evicted, or that a revocation overtook: the next revocation lets
    none begin so (R72). ``answer`` is what a form has brought of its response: code, issuer and error,
    empty where there was none.
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
    began = int(pending.started_at * 1000).to_bytes(TIME_BYTES, "big")
    told = {name: value for name, value in fields.items() if value != ""}
    return _PENDING_2 + pending.secret + began + dump_json(told)


def decode_pending(data: bytes) -> PendingLogin | None:
    """Return the pending login of such a payload, or None. Before version 2 it was a JSON list."""
    try:
        if data[:1] != _PENDING_2:
            state, nonce, verifier, provider, return_to, started = json.loads(data)
            return PendingLogin(
                read_text(state),
                read_text(nonce),
                read_text(verifier),
                read_text(provider),
                read_text(return_to),
                read_time(started),
            )
        start = 1 + SECRET_BYTES
        secret, began = data[1:start], data[start : start + TIME_BYTES]
        fields = read_claims(json.loads(data[start + TIME_BYTES :]))
        return begin_pending(
            secret,
            read_text(fields.get("p", "")),
            read_text(fields.get("r", "")),
            int.from_bytes(began, "big") / 1000,
            read_text(fields.get("ru", "")),
            position_from(fields.get("po")),
            is_repeated="re" in fields,
            answer=_answer(fields.get("an")),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def encode_recent(recent: list[tuple[float, str]]) -> bytes:
    """Return what the cookie of recent callbacks seals: (epoch seconds, path) pairs."""
    return dump_json([[round(at, 3), path] for at, path in recent])


def decode_recent(data: bytes) -> list[tuple[float, str]]:
    """Return the recent callbacks, empty for garbage."""
    try:
        return [(read_time(at), read_text(path)) for at, path in json.loads(data)]
    except (ValueError, TypeError, RecursionError):
        return []


SECRET_BYTES = 32


_PENDING_2 = b"\x02"


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


def _answer(value: Json) -> tuple[str, str, str] | None:
    if value is None:
        return None
    code, issuer, error = read_texts(value)
    return code, issuer, error
