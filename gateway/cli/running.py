"""The commands that ask a running gateway: sessions, reload; and how any of them asks.

Each takes the parsed options and returns the exit code; raises CommandError.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.configuration import load_configuration
from gateway.cli.terminal import CommandError, complain, say

if TYPE_CHECKING:
    from typing import Literal

    from gateway.cli.admin_client import Target
    from gateway.config.settings.root import Settings


def target_of_options(options: argparse.Namespace, without: str) -> "Target":
    """Return the admin listener to ask; with ``--admin`` no configuration is read, so it may be broken."""
    from gateway.cli.admin_client import AdminError, target_at, target_of  # noqa: PLC0415 - an HTTP client

    try:
        if options.admin is None and options.token_file is None and options.admin_ca is None:
            return target_of(_settings(options), without)
        if options.admin is None or options.token_file is None or options.config is not None:
            raise CommandError("gateway: --admin and --token-file belong together, and replace --config")
        authorities = None if options.admin_ca is None else Path(options.admin_ca)
        return target_at(options.admin, Path(options.token_file), authorities)
    except AdminError as error:
        raise CommandError(f"gateway: {error}") from None


def _settings(options: argparse.Namespace) -> "Settings":
    try:
        return load_configuration(options)[1].settings
    except CommandError as error:
        # whoever has somebody to lock out must not have to mend a file first
        raise CommandError(
            f"{error}\ngateway: --admin URL and --token-file FILE need no configuration"
        ) from None


def mandate_of(options: argparse.Namespace) -> dict[str, str]:
    """Return who asks for a change, and why."""
    import getpass  # noqa: PLC0415 - only changes need it

    actor = options.actor
    if actor is None:
        try:
            user = getpass.getuser()
        except (OSError, KeyError):
            user = str(os.getuid())
        actor = f"{user}@{os.uname().nodename}"
    return {"actor": actor} | ({"reason": options.reason} if options.reason is not None else {})


def moment(seconds: float) -> str:
    """Return a time in UTC, at the end of its second."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only one command needs it

    try:
        # the whole second after: what is issued in it may be refused
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ceil(seconds)):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return "the end of time"


def _asked(
    options: argparse.Namespace, method: "Literal['GET', 'DELETE']", names: Sequence[str], **more: str
) -> dict[str, object]:
    from gateway.cli.admin_client import AdminError, ask_sessions  # noqa: PLC0415 - an HTTP client

    target = target_of_options(options, "without one nothing is told about sessions")
    fields = {name: value for name in names if (value := getattr(options, name)) is not None} | more
    try:
        return ask_sessions(target, method, fields, getattr(options, "id", None) or "")
    except AdminError as error:
        raise CommandError(f"gateway: {error}") from None


def ask_admin(
    options: argparse.Namespace,
    method: "Literal['GET', 'POST', 'DELETE']",
    path: str,
    body: str,
    fields: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Ask the admin listener for JSON. Raises CommandError."""
    from gateway.cli.admin_client import AdminError, ask  # noqa: PLC0415 - an HTTP client

    target = target_of_options(options, "without one nothing is told or changed")
    try:
        return ask(target, method, path, body, fields or {})
    except AdminError as error:
        raise CommandError(f"gateway: {error}") from None


def list_sessions(options: argparse.Namespace) -> int:
    """List who is logged in."""
    from gateway.cli.session_table import MOST_PAGE, describe_line, json_line, rows_of  # noqa: PLC0415 - one command

    left, cursor = max(1, options.limit), ""
    describe = json_line if options.json else describe_line
    while left > 0:
        more = {"cursor": cursor} if cursor else {}
        answer = _asked(options, "GET", ("sub", "sid", "provider"), limit=str(min(left, MOST_PAGE)), **more)
        rows = rows_of(answer)
        for row in rows:
            say(describe(row))
        left -= len(rows)
        cursor = str(answer.get("cursor") or "")
        if not cursor:
            return 0
    complain("there may be more: raise --limit")
    return 0


def show_session(options: argparse.Namespace) -> int:
    """Show one session."""
    from gateway.cli.session_table import describe_page, json_line  # noqa: PLC0415 - only for this

    answer = _asked(options, "GET", ())
    say(json_line(answer) if options.json else describe_page(answer))
    return 0


def end_sessions(options: argparse.Namespace) -> int:
    """End one session, or those of a person."""
    answer = _asked(options, "DELETE", ("sub", "sid", "provider"), **mandate_of(options))
    say(f"ended: {answer.get('ended')}")
    missing = answer.get("missing")
    if isinstance(missing, list) and missing:
        complain("\n".join(f"not acknowledged: {worker}" for worker in missing))
        return 1
    return 0


def reload(options: argparse.Namespace) -> int:
    """Let the running gateway read its configuration anew."""
    from gateway.cli import admin_client  # noqa: PLC0415 - an HTTP client

    target = target_of_options(options, "send the signal SIGHUP to the gateway instead")
    try:
        answer = admin_client.reload(target, mandate_of(options))
    except admin_client.AdminError as error:
        raise CommandError(f"gateway: {error}") from None
    if answer.errors:
        complain("\n".join((*answer.errors, "refused: the old configuration runs on")))
        return 1
    if answer.warnings:
        complain("\n".join(f"{line} (warning)" for line in answer.warnings))
    say(f"changed: {', '.join(answer.changed) or 'nothing'}")
    return 0
