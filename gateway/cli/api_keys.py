"""The commands about API keys: create, list, revoke.

A key is made here, and only its SHA-256 is sent to the running gateway or printed for the configuration.
Each takes the parsed options and returns the exit code; raises CommandError.
"""

import argparse
import hashlib
import json
import os
import time

from gateway.cli.running import ask_admin, mandate_of, moment
from gateway.cli.terminal import CommandError, complain, say
from gateway.syntax.api_keys import ID_BYTES, SECRET_BYTES, compose, id_of, is_key_id, is_owner
from gateway.syntax.dates import read_date
from gateway.syntax.urls import is_scope

_UNITS = {"h": 3600.0, "d": 86400.0}


def create(options: argparse.Namespace) -> int:
    """Make a key, print it once, and tell the running gateway of it, or print what to write."""
    if not is_owner(options.owner):
        raise CommandError("gateway: --owner has 1 to 255 printable characters")
    if not all(map(is_scope, options.scope)):
        raise CommandError("gateway: --scope is one scope, without white space, quote or backslash")
    now = float(int(time.time()))
    expires = _expiry(options.expires, now)
    key = compose(os.urandom(ID_BYTES), os.urandom(SECRET_BYTES))
    digest, scopes = hashlib.sha256(key.encode()).hexdigest(), list(dict.fromkeys(options.scope))
    key_id = id_of(key)
    if options.configuration:
        say(key)
        complain(f"kept nowhere: give it to {options.owner!r} now. For the section api_keys:")
        lines = [f"  {key_id}:", f"    sha256: {digest}", f"    owner: {json.dumps(options.owner)}"]
        if scopes:
            lines.append(f"    scopes: {json.dumps(scopes)}")
        lines += [f"    expires: {json.dumps(moment(expires))}", f"    created: {json.dumps(moment(now))}"]
        say("\n".join(("keys:", *lines)))
        return 0
    fields = {"id": key_id, "sha256": digest, "owner": options.owner, "scopes": scopes, "expires": expires}
    ask_admin(options, "POST", "/keys", json.dumps(fields | mandate_of(options)))
    # once it holds, and not before
    say(key)
    complain(f"id {key_id}, until {moment(expires)}; the key is kept nowhere: give it to its owner now")
    return 0


def _expiry(text: str, now: float) -> float:
    """Return the whole second at which a key expires."""
    number, unit = text[:-1], text[-1:]
    found = read_date(text)
    if unit in _UNITS and number.isascii() and number.isdecimal() and len(number) <= 6:
        found = now + int(number) * _UNITS[unit]
    if found is None or found <= now:
        raise CommandError("gateway: --expires is 90d, 12h, 2027-06-30 or 2027-06-30T12:00:00Z, and to come")
    return found


def list_keys(options: argparse.Namespace) -> int:
    """List the keys of the configuration and of the store."""
    from gateway.cli.session_table import describe_key, json_line  # noqa: PLC0415 - only for this

    describe, cursor = json_line if options.json else describe_key, "0"
    while cursor:
        answer = ask_admin(options, "GET", "/keys", "", {"cursor": cursor})
        keys = answer.get("keys")
        for each in keys if isinstance(keys, list) else []:
            if isinstance(each, dict) and options.owner in (None, each.get("owner")):
                say(describe(each))
        cursor = str(answer.get("cursor") or "")
    return 0


def revoke(options: argparse.Namespace) -> int:
    """Revoke a key, at every worker."""
    if not is_key_id(options.id):
        raise CommandError("gateway: ID has 16 characters of a-z and 2-7; gateway keys api list tells it")
    answer = ask_admin(options, "DELETE", f"/keys/{options.id}", "", mandate_of(options))
    say(f"revoked: {options.id}")
    missing = answer.get("missing")
    if isinstance(missing, list) and missing:
        complain("\n".join(f"not acknowledged: {worker}" for worker in missing))
        complain("these workers will refuse it once they reach the store again; until then they may not")
        return 1
    return 0
