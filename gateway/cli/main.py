"""The command ``gateway``: run, demo, check, explain, revoke, sessions, reload, schema, keys.

Exit codes: 0 done; 1 it did not come to pass; 2 the command line is wrong (``argparse``'s own).
Heavy imports stand inside the commands, so that each pays only for what it uses.
"""

import argparse
import gc
import os
import re
import sys
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import __version__

if TYPE_CHECKING:
    from typing import Literal

    from gateway.cli.admin_client import Target
    from gateway.edge.configfile.load import Loaded

_PLACES = ("gateway.yaml", "config/gateway.yaml")


class CommandError(Exception):
    """The command cannot do its work; the text is printed as it is and says what to do about it."""


# our session ids: 32 bytes in base64url (RFC 4648 section 5)
_HYPHENATED = re.compile(r"-[A-Za-z0-9_-]{42}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: without the command's own name; the process's by default.
    """
    # a plugin of pydantic's would see every secret of the configuration, and to look for one takes time
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    from gateway.edge.process import forbid_core_dumps  # noqa: PLC0415 - nothing to load where it is not run

    forbid_core_dumps()
    words = _guarded(list(sys.argv[1:] if arguments is None else arguments))
    parser = _parser(words)
    options = parser.parse_args(words)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except CommandError as error:
        _complain(str(error))
    except BrokenPipeError:
        # whoever read our output has gone; nothing more may be written to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 1


def _guarded(words: list[str]) -> list[str]:
    """Return the words with ids that begin with a hyphen told from options: one in 64 does."""
    kept: list[str] = []
    last: list[str] = []
    for word in words:
        if "--" in kept or _HYPHENATED.fullmatch(word) is None:
            kept.append(word)
        elif kept and kept[-1].startswith("--") and "=" not in kept[-1]:
            kept[-1] += f"={word}"
        else:
            last.append(word)
    return [*kept, "--", *last] if last else kept


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description="An authenticating reverse proxy.")
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run = _command(commands, "run", "serve until SIGTERM", _run)
    check = _command(commands, "check", "check the configuration, list every problem", _check)
    explain = _command(
        commands, "explain", "tell what would happen to a request, without a network", _explain
    )
    revoke = _command(commands, "revoke", "log out a token, a session, a person or everybody", _revoke)
    reload = _command(
        commands, "reload", "let the running gateway read its configuration anew, without an end", _reload
    )
    for each in (run, check, explain, revoke, reload):
        each.add_argument(
            "--config",
            metavar="FILE",
            help="default: $GATEWAY_CONFIG, else gateway.yaml, else config/gateway.yaml",
        )
    check.add_argument(
        "--providers", action="store_true", help="ask each provider for its metadata and keys as well"
    )
    _explain_arguments(explain)
    _revoke_arguments(revoke)
    for each in (revoke, reload):
        _admin_arguments(each, changes=True)
    _sessions_arguments(commands)
    _command(commands, "schema", "print the JSON Schema of the configuration, for editors", _schema)
    keys = commands.add_parser("keys", help="secret keys", description="Secret keys.")
    _command(
        keys.add_subparsers(metavar="ACTION", required=True), "generate", "print a new secret key", _generate
    )
    demo = _command(commands, "demo", "a provider, an upstream and a gateway to try it with", _demo)
    if "demo" in words[:1]:
        from gateway.demo.run import add_arguments  # noqa: PLC0415 - only this command needs the demo

        add_arguments(demo)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(command=run)
    return parser


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="absolute, or a path at the first public_url")
    parser.add_argument("--method", metavar="M", default="GET", help="default: GET")
    parser.add_argument(
        "--header", metavar="'NAME: VALUE'", action="append", default=[], help="may be given repeatedly"
    )


def _revoke_arguments(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--jti", help="one bearer token")
    kind.add_argument("--sid", help="a session at the provider")
    kind.add_argument("--sub", help="everything of a person that was issued until now")
    kind.add_argument("--session", help="one of the gateway's own sessions")
    kind.add_argument("--all", action="store_true", help="everything that was issued until now")
    parser.add_argument(
        "--provider", metavar="NAME", help="whose jti, sid or sub; needed when there are several"
    )
    parser.add_argument(
        "--before",
        metavar="TIME",
        type=_time,
        help="issued until then: 2026-01-31T12:00:00Z, or epoch seconds",
    )


def _admin_arguments(parser: argparse.ArgumentParser, *, changes: bool) -> None:
    parser.add_argument(
        "--admin",
        metavar="URL",
        help="the admin listener, without any configuration: http://127.0.0.1:9000; with --token-file",
    )
    parser.add_argument("--token-file", metavar="FILE", help="holds the admin token and nothing else")
    if changes:
        parser.add_argument("--reason", metavar="TEXT", help="kept in the audit log")
        parser.add_argument("--actor", metavar="NAME", help="kept in the audit log; default: user@host")


def _sessions_arguments(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sessions = commands.add_parser(
        "sessions",
        help="who is logged in, where the store keeps sessions",
        description="Who is logged in: needs session.mode: redis.",
    )
    actions = sessions.add_subparsers(metavar="ACTION", required=True)
    listed = _command(actions, "list", "list sessions, those seen last first", _list_sessions)
    show = _command(actions, "show", "show one session", _show_session)
    end = _command(actions, "end", "end one session, or those of a person", _end_sessions)
    listed.add_argument("--sub", help="those of one person")
    listed.add_argument("--sid", help="those of a session at the provider")
    listed.add_argument("--limit", metavar="N", type=int, default=100, help="default: 100")
    show.add_argument("id", metavar="ID", help="the public id, as listed and logged")
    which = end.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?", help="the public id, as listed and logged")
    which.add_argument("--sub", help="every session of a person")
    which.add_argument("--sid", help="those of a session at the provider")
    for each in (listed, end):
        each.add_argument("--provider", metavar="NAME", help="only those that logged in there")
    for each in (listed, show, end):
        each.add_argument("--config", metavar="FILE", help="as for the other commands")
        _admin_arguments(each, changes=each is end)
    for each in (listed, show):
        each.add_argument("--json", action="store_true", help="print JSON, one session on each line")


def _time(text: str) -> float:
    from datetime import UTC, datetime  # noqa: PLC0415 - only one option of one command needs it

    if text.isascii() and text.isdecimal():
        return float(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _target(options: argparse.Namespace, without: str) -> "Target":
    """Return the admin listener to ask; with ``--admin`` no configuration is read, so it may be broken."""
    from gateway.cli.admin_client import AdminError, target_at, target_of  # noqa: PLC0415 - an HTTP client

    try:
        if options.admin is None and options.token_file is None:
            return target_of(_load(options)[1].settings, without)
        if options.admin is None or options.token_file is None or options.config is not None:
            raise CommandError("gateway: --admin and --token-file belong together, and replace --config")
        return target_at(options.admin, Path(options.token_file))
    except AdminError as error:
        raise CommandError(f"gateway: {error}") from None


def _mandate(options: argparse.Namespace) -> dict[str, str]:
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


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def find_configuration(given: str | None) -> Path:
    """Return the configuration file: as given, ``$GATEWAY_CONFIG``, or the first usual place that exists.

    Raises:
        CommandError: there is none.
    """
    if named := given or os.environ.get("GATEWAY_CONFIG"):
        return Path(named)
    for place in map(Path, _PLACES):
        if place.exists():
            return place
    raise CommandError(
        f"gateway: no configuration: name it with --config or GATEWAY_CONFIG, or write {_PLACES[0]}"
    )


def _load(options: argparse.Namespace) -> "tuple[Path, Loaded]":
    path = find_configuration(options.config)
    from gateway.edge.configfile.load import ConfigurationError, load  # noqa: PLC0415 - pydantic is not cheap

    try:
        return path, load(path)
    except ConfigurationError as error:
        raise CommandError(str(error)) from None


def _warn(path: Path, loaded: "Loaded") -> None:
    from gateway.edge.configfile.load import show  # noqa: PLC0415 - as above

    if loaded.warnings:
        _complain("\n".join(f"{line} (warning)" for line in show(str(path), loaded.warnings).splitlines()))


def _protect() -> None:
    """See to what must hold before anything is served."""
    from gateway.core.fault import Fault  # noqa: PLC0415 - only what serves needs it
    from gateway.edge.process import protect  # noqa: PLC0415 - the same

    try:
        warning = protect()
    except Fault as fault:
        raise CommandError(f"gateway: cannot start: {fault.detail}") from None
    if warning is not None:
        _complain(f"gateway: {warning} (warning)")


def _run(options: argparse.Namespace) -> int:
    _protect()
    # modules are no garbage: collecting while they are loaded finds nothing; the supervisor goes on with it
    gc.disable()
    try:
        return _serve(options)
    finally:
        gc.enable()


def _serve(options: argparse.Namespace) -> int:
    path, loaded = _load(options)
    _warn(path, loaded)
    from gateway.core.fault import Fault  # noqa: PLC0415 - the same
    from gateway.edge.configfile.load import load  # noqa: PLC0415 - the same
    from gateway.supervision.supervisor import run  # noqa: PLC0415 - the same

    try:
        return run(loaded.settings, lambda: load(path))
    except Fault as error:
        raise CommandError(f"gateway: cannot start: {error.detail or error.reason}") from None
    except OSError as error:
        raise CommandError(f"gateway: cannot start: {_why(error, loaded)}") from None
    except RuntimeError as error:
        raise CommandError(f"gateway: cannot start: {error}") from None


def _why(error: OSError, loaded: "Loaded") -> str:
    import errno  # noqa: PLC0415 - only a failed start needs it

    both = f"listen ({loaded.settings.listen}) or admin.listen ({loaded.settings.admin.listen})"
    listen = next(iter(getattr(error, "__notes__", ())), both)
    if error.errno == errno.EADDRINUSE:
        return f"the port of {listen} is taken: stop what uses it, or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"no network interface has the address of {listen}"
    if error.errno in (errno.EACCES, errno.EPERM):
        place = f" ({error.filename})" if error.filename else ""
        return f"permission denied{place}: ports below 1024 need a capability, and state_dir must be writable"
    return error.strerror or str(error)


def _check(options: argparse.Namespace) -> int:
    from gateway.edge.providers.proxy import proxied  # noqa: PLC0415 - only this command asks
    from gateway.edge.store.check import check_store  # noqa: PLC0415 - a client of the store
    from gateway.edge.store.state_dir import look  # noqa: PLC0415 - as above

    path, loaded = _load(options)
    _warn(path, loaded)
    count = len(loaded.warnings)
    if (warning := check_store(loaded.settings)) is not None:
        _complain(f"{path}: redis: {warning} (warning)")
        count += 1
    if loaded.settings.redis is None:
        for warning in look(Path(loaded.settings.state_dir)):
            _complain(f"{path}: state_dir: {warning} (warning)")
            count += 1
    for warning in proxied(loaded.settings):
        _complain(f"{path}: {warning} (warning)")
        count += 1
    if options.providers:
        from gateway.edge.providers.check import check_providers  # noqa: PLC0415 - a client of the providers

        for warning in check_providers(loaded.settings):
            _complain(f"{path}: {warning} (warning)")
            count += 1
    _say(f"{path}: good" + (f", with {count} warning{'s' if count > 1 else ''}" if count else ""))
    from gateway.core.runtime import redirect_uris  # noqa: PLC0415 - as above

    for name, uris in redirect_uris(loaded.settings).items():
        _say(f"register at provider {name}: {' '.join(uris)}")
    return 0


def _explain(options: argparse.Namespace) -> int:
    from gateway.cli.explain import explain  # noqa: PLC0415 - the whole core

    _, loaded = _load(options)
    try:
        lines = explain(loaded.settings, options.url, options.method, options.header)
    except ValueError as error:
        raise CommandError(f"gateway: {error}") from None
    _say("\n".join(lines))
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from gateway.cli.admin_client import AdminError, revoke  # noqa: PLC0415 - an HTTP client

    target = _target(options, "without one nothing can be revoked")
    entry = {
        name: value
        for name in ("jti", "sid", "sub", "session", "all", "provider", "before")
        if (value := getattr(options, name)) is not None and value is not False
    }
    try:
        answer = revoke(target, entry | _mandate(options))
    except AdminError as error:
        raise CommandError(f"gateway: {error}") from None
    for worker in answer.acknowledged:
        _say(f"acknowledged: {worker}")
    if answer.sessions is not None:
        _say(f"sessions ended: {answer.sessions or 'none that lives is named by this'}")
    if answer.tokens_refused_until is not None:
        _say(f"bearer tokens are refused that were issued until {_moment(answer.tokens_refused_until)}")
    if answer.missing:
        _complain("\n".join(f"not acknowledged: {worker}" for worker in answer.missing))
        _complain("these workers will refuse it once they reach the store again; until then they may not")
    return 1 if answer.missing else 0


def _moment(seconds: float) -> str:
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

    target = _target(options, "without one nothing is told about sessions")
    fields = {name: value for name in names if (value := getattr(options, name)) is not None} | more
    try:
        return ask_sessions(target, method, fields, getattr(options, "id", None) or "")
    except AdminError as error:
        raise CommandError(f"gateway: {error}") from None


def _list_sessions(options: argparse.Namespace) -> int:
    from gateway.cli.session_table import MOST_PAGE, describe_line, json_line, rows_of  # noqa: PLC0415 - one command

    left, cursor = max(1, options.limit), ""
    describe = json_line if options.json else describe_line
    while left > 0:
        more = {"cursor": cursor} if cursor else {}
        answer = _asked(options, "GET", ("sub", "sid", "provider"), limit=str(min(left, MOST_PAGE)), **more)
        rows = rows_of(answer)
        for row in rows:
            _say(describe(row))
        left -= len(rows)
        cursor = str(answer.get("cursor") or "")
        if not cursor:
            return 0
    _complain("there may be more: raise --limit")
    return 0


def _show_session(options: argparse.Namespace) -> int:
    from gateway.cli.session_table import describe_page, json_line  # noqa: PLC0415 - only for this

    answer = _asked(options, "GET", ())
    _say(json_line(answer) if options.json else describe_page(answer))
    return 0


def _end_sessions(options: argparse.Namespace) -> int:
    answer = _asked(options, "DELETE", ("sub", "sid", "provider"), **_mandate(options))
    _say(f"ended: {answer.get('ended')}")
    missing = answer.get("missing")
    if isinstance(missing, list) and missing:
        _complain("\n".join(f"not acknowledged: {worker}" for worker in missing))
        return 1
    return 0


def _reload(options: argparse.Namespace) -> int:
    from gateway.cli.admin_client import AdminError, reload  # noqa: PLC0415 - an HTTP client

    target = _target(options, "send the signal SIGHUP to the gateway instead")
    try:
        answer = reload(target, _mandate(options))
    except AdminError as error:
        raise CommandError(f"gateway: {error}") from None
    if answer.errors:
        _complain("\n".join((*answer.errors, "refused: the old configuration runs on")))
        return 1
    if answer.warnings:
        _complain("\n".join(f"{line} (warning)" for line in answer.warnings))
    _say(f"changed: {', '.join(answer.changed) or 'nothing'}")
    return 0


def _schema(_: argparse.Namespace) -> int:
    import json  # noqa: PLC0415 - only this command needs them

    from gateway.edge.configfile.load import schema  # noqa: PLC0415 - the same

    _say(json.dumps(schema(), indent=2))
    return 0


def _generate(_: argparse.Namespace) -> int:
    from base64 import b64encode  # noqa: PLC0415 - only this command needs it

    _say(b64encode(os.urandom(32)).decode())
    return 0


def _demo(options: argparse.Namespace) -> int:
    from gateway.demo.run import main as demo  # noqa: PLC0415 - only this command needs the demo

    _protect()
    return demo(options)
