"""The command ``revoke``: takes the parsed options and returns the exit code; raises CommandError."""

import argparse
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gateway.cli.running import mandate_of, moment, target_of_options
from gateway.cli.terminal import CommandError, complain, say

if TYPE_CHECKING:
    from gateway.cli.admin_client import Acknowledgement

_VALUES: Final = ("jti", "sid", "sub", "session", "key")
_MEMBERS: Final = (*_VALUES, "all", "provider", "before")
# what begins and is parted as a JWS is the token itself (RFC 7515 section 3.1)
_JWS: Final = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_.-]*")
_UNKNOWN: Final = "cannot be told, where browsers keep them or the store is slow"
_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def revoke(options: argparse.Namespace) -> int:
    """Revoke what the options name, at every worker, and tell what that met."""
    from gateway.cli import admin_client  # noqa: PLC0415 - an HTTP client

    entry = {
        name: value
        for name in _MEMBERS
        if (value := getattr(options, name)) is not None and value is not False
    }
    for name in _VALUES:
        if _JWS.fullmatch(str(entry.get(name, "")).strip()) is not None:
            raise CommandError(f"gateway: --{name} got a whole token: give the {name} that is in it")
    target = target_of_options(options, "without one nothing can be revoked")
    try:
        answer = admin_client.revoke(target, entry | mandate_of(options))
    except admin_client.AdminError as error:
        raise CommandError(f"gateway: {error}") from None
    for worker in answer.acknowledged:
        say(f"acknowledged: {worker}")
    kind = next(name for name in (*_VALUES, "all") if name in entry)
    for line in _met(kind, answer):
        say(line)
    if answer.tokens_refused_until is not None:
        say(f"bearer tokens are refused that were issued until {moment(answer.tokens_refused_until)}")
    for doubt in _doubts(kind, str(entry[kind]), answer):
        complain(f"gateway: {doubt} (warning)")
    if answer.missing:
        complain("\n".join(f"not acknowledged: {worker}" for worker in answer.missing))
        complain("these workers will refuse it once they reach the store again; until then they may not")
    return 1 if answer.missing else 0


def _met(kind: str, answer: "Acknowledgement") -> Iterator[str]:
    if kind == "key":
        if answer.keys is not None:
            yield f"API keys ended: {answer.keys or 'none'}"
    elif kind != "jti":
        yield f"sessions ended: {_UNKNOWN if answer.sessions is None else answer.sessions or 'none'}"
    if answer.streams is not None:
        yield f"open connections ended at this gateway: {answer.streams or 'none'}"


def _doubts(kind: str, value: str, answer: "Acknowledgement") -> Iterator[str]:
    """Yield why a revocation may not have been what was meant."""
    known = answer.keys if kind == "key" else answer.sessions
    if kind != "all" and known == 0 and not answer.streams:
        what, where = ("API key", "keys api list") if kind == "key" else ("session", "sessions list")
        yield f"no {what} that lives was met: is the {kind} right? gateway {where} tells what there is"
    if value != value.strip():
        yield f"the {kind} has white space around it, and counts with it"
    elif kind == "session" and _SESSION.fullmatch(value) is None:
        yield "a session's id has 43 characters of A-Z a-z 0-9 _ -, as listed and logged"
