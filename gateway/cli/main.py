"""The command ``gateway``: its parsers, and how it ends; what each command does stands in its own module.

Exit codes: 0 done; 1 it did not come to pass; 2 the command line is wrong (``argparse``'s own).
Heavy imports stand inside the commands, so that each pays only for what it uses.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence

from gateway import __version__
from gateway.cli import (
    api_keys,
    audit,
    checking,
    commands,
    completion,
    explaining,
    healthcheck,
    importing,
    revoking,
    running,
)
from gateway.cli.arguments import Parser, add_config
from gateway.cli.arguments import command as _command
from gateway.cli.doctor import command as doctor
from gateway.cli.init import command as initial
from gateway.cli.terminal import CommandError, complain

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
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    parser = _parser(words)
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(2)
    options = parser.parse_args(words)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except CommandError as error:
        complain(str(error))
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


def _parser(words: Sequence[str]) -> Parser:
    parser = Parser(prog="gateway", description="An authenticating reverse proxy.")
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    parsers = parser.add_commands("COMMAND")
    initial.add_arguments(parsers)
    run = _command(parsers, "run", "serve until SIGTERM", commands.run)
    checking.add_arguments(parsers)
    explain = _command(parsers, "explain", "tell what would happen to a request", explaining.explain)
    revoke = _command(parsers, "revoke", "log out a token, a session, a person or everybody", revoking.revoke)
    reload = _command(
        parsers,
        "reload",
        "let the running gateway read its configuration anew, without an end",
        running.reload,
    )
    for each in (run, explain, revoke, reload):
        add_config(each)
    _explain_arguments(explain)
    _revoke_arguments(revoke)
    for each in (revoke, reload):
        _admin_arguments(each, changes=True)
    _sessions_arguments(parsers)
    schema = _command(
        parsers, "schema", "print the JSON Schema of the configuration, for editors", commands.schema
    )
    schema.add_argument("--audit", action="store_true", help="that of audit events, in its stead")
    _keys_arguments(parsers)
    audit.add_arguments(parsers, _admin_arguments)
    _import_arguments(parsers)
    healthcheck.add_arguments(parsers)
    doctor.add_arguments(parsers)
    completion.add_arguments(parsers, lambda: _parser(["demo"]))
    demo = _command(parsers, "demo", "a provider, an upstream and a gateway to try it with", commands.demo)
    if "demo" in words[:1]:
        from gateway.demo.run import add_arguments  # noqa: PLC0415 - only this command needs the demo

        add_arguments(demo)
    return parser


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("url", metavar="URL", nargs="?", help="absolute, or a path at the first public_url")
    what.add_argument("--curl", metavar="FILE", help="ask about a saved curl command; -: standard input")
    what.add_argument("--log", metavar="FILE", help="ask about an access-log line; -: standard input")
    parser.add_argument("--method", metavar="M", help="default: GET, or as saved")
    parser.add_argument(
        "--header", metavar="'NAME: VALUE'", action="append", default=[], help="may be given repeatedly"
    )
    parser.add_argument("--client", metavar="ADDRESS", default="", help="who connects; default: anybody")
    parser.add_argument("--request-id", metavar="ID", help="which of several access-log lines")
    parser.add_argument("--live", action="store_true", help="ask the running gateway, with all that it knows")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _admin_arguments(parser, changes=False)


def _revoke_arguments(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--jti", help="one bearer token")
    kind.add_argument("--sid", help="a session at the provider")
    kind.add_argument("--sub", help="everything of a person that was issued until now")
    kind.add_argument("--session", help="one of the gateway's own sessions")
    kind.add_argument("--key", metavar="ID", help="one API key")
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
    parser.add_argument("--admin-ca", metavar="FILE", help="who may sign the certificate of an https --admin")
    if changes:
        parser.add_argument("--reason", metavar="TEXT", help="kept in the audit log")
        parser.add_argument("--actor", metavar="NAME", help="kept in the audit log; default: user@host")


def _sessions_arguments(parsers: "argparse._SubParsersAction[Parser]") -> None:
    sessions = parsers.add_parser(
        "sessions",
        help="who is logged in, where the store keeps sessions",
        description="Who is logged in: needs session.mode: redis.",
    )
    actions = sessions.add_commands("ACTION")
    listed = _command(actions, "list", "list sessions, those seen last first", running.list_sessions)
    show = _command(actions, "show", "show one session", running.show_session)
    end = _command(actions, "end", "end one session, or those of a person", running.end_sessions)
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


def _keys_arguments(parsers: "argparse._SubParsersAction[Parser]") -> None:
    keys = parsers.add_parser("keys", help="secret keys, API keys", description="Secret keys and API keys.")
    actions = keys.add_commands("ACTION")
    _command(actions, "generate", "print a new secret key", commands.generate)
    api = actions.add_parser(
        "api", help="API keys for machines", description="API keys: need the section api_keys."
    ).add_commands("ACTION")
    create = _command(api, "create", "make an API key, and print it once", api_keys.create)
    create.add_argument("--owner", metavar="NAME", required=True, help="who answers for it; told as sub")
    create.add_argument(
        "--scope", metavar="SCOPE", action="append", default=[], help="may be given repeatedly"
    )
    create.add_argument("--expires", metavar="WHEN", default="90d", help="90d (default), 12h, 2027-06-30")
    create.add_argument(
        "--configuration", action="store_true", help="print what to write there, and ask no gateway"
    )
    listed = _command(api, "list", "list API keys, and when each was used last", api_keys.list_keys)
    listed.add_argument("--owner", metavar="NAME", help="those of one owner")
    listed.add_argument("--json", action="store_true", help="print JSON, one key on each line")
    revoke = _command(api, "revoke", "revoke an API key, at once everywhere", api_keys.revoke)
    revoke.add_argument("id", metavar="ID", help="as listed and logged: 16 characters")
    for each in (create, listed, revoke):
        each.add_argument("--config", metavar="FILE", help="as for the other commands")
        _admin_arguments(each, changes=each is not listed)


def _import_arguments(parsers: "argparse._SubParsersAction[Parser]") -> None:
    whose = parsers.add_parser(
        "import", help="translate a configuration of oauth2-proxy", description="Translate a configuration."
    ).add_commands("PRODUCT")
    parser = _command(
        whose, "oauth2-proxy", "translate a configuration of oauth2-proxy 7.15", importing.import_oauth2_proxy
    )
    parser.add_argument(
        "file", metavar="FILE", help="as --config has it, or lines of OAUTH2_PROXY_NAME=value"
    )
    parser.add_argument("--alpha-config", metavar="FILE", help="as --alpha-config has it")
    parser.add_argument(
        "--public-url", metavar="URL", help="where browsers come; default: as redirect_url has it"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="a file that is not there yet; default: standard output"
    )


def _time(text: str) -> float:
    from datetime import UTC, datetime  # noqa: PLC0415 - only one option of one command needs it

    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("write 2026-01-31T12:00:00Z, or seconds since 1970") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
