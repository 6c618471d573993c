"""The command ``init``: asks, and writes a first configuration; raises CommandError."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.cli.arguments import command
from gateway.cli.terminal import CommandError, complain, say

if TYPE_CHECKING:
    from gateway.cli.arguments import Parser
    from gateway.cli.init.answers import Answers

_MOST_SECRET: Final = 16_384


def add_arguments(parsers: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command."""
    parser = command(parsers, "init", "ask six questions, and write a first configuration", init)
    parser.add_argument("--output", metavar="FILE", default="gateway.yaml", help="default: gateway.yaml")
    parser.add_argument("--public-url", metavar="URL", help="where browsers find the gateway")
    parser.add_argument(
        "--provider", metavar="NAME", help="keycloak, entra, google, ..., or the URL of an issuer"
    )
    parser.add_argument("--issuer", metavar="URL", help="of a provider by name: its issuer, tenant or realm")
    parser.add_argument("--client-id", metavar="ID", help="as the provider gave it")
    parser.add_argument(
        "--client-secret-file",
        metavar="FILE",
        help="holds the client secret; -: standard input; none: public",
    )
    parser.add_argument("--upstream", metavar="URL", help="the application: http://127.0.0.1:3000")
    parser.add_argument("--who", metavar="WHO", help="everybody, @example.com or group:staff")
    parser.add_argument("--online", action="store_true", help="ask the provider before anything is written")


def init(options: argparse.Namespace) -> int:
    """Ask for what the options do not say, and write a configuration that ``gateway check`` finds good."""
    from gateway.cli.init import files  # noqa: PLC0415 - only this command needs them
    from gateway.cli.init.document import FOR_PROVIDER, SCHEMA, SECRETS, write  # noqa: PLC0415 - as above

    output = Path(options.output)
    if not output.parent.is_dir():
        raise CommandError(f"gateway: {output.parent} is no directory")
    names = _names(output)
    try:
        files.look(output.parent, dict.fromkeys(names, ""))
    except files.InTheWayError as error:
        raise CommandError(f"gateway: {error}: name another with --output") from None
    answers = _answers(options)
    if options.online:
        _see_provider(answers)
    texts = _secrets() | {output.name: write(answers)}
    if answers.client_secret:
        texts[f"{SECRETS}/{FOR_PROVIDER}"] = f"{answers.client_secret}\n"
    if not (output.parent / SCHEMA).exists():
        texts[SCHEMA] = _schema()
    # the configuration comes last: where it is, all is
    texts[output.name] = texts.pop(output.name)
    try:
        files.place(
            output.parent, texts, lambda name: name.startswith(SECRETS), lambda at: _judge(at / output.name)
        )
    except files.InTheWayError as error:
        raise CommandError(f"gateway: {error}: name another with --output") from None
    except OSError as error:
        raise CommandError(f"gateway: {output.parent} cannot be written to: {error.strerror}") from None
    _tell(output, answers, list(texts))
    return 0


def _names(output: Path) -> list[str]:
    from gateway.cli.init.document import FOR_OPERATORS, FOR_PROVIDER, FOR_SEALING, SECRETS  # noqa: PLC0415

    return [output.name, *(f"{SECRETS}/{name}" for name in (FOR_SEALING, FOR_OPERATORS, FOR_PROVIDER))]


def _secrets() -> dict[str, str]:
    import os  # noqa: PLC0415 - only this command needs them
    from base64 import b64encode  # noqa: PLC0415 - as above
    from secrets import token_urlsafe  # noqa: PLC0415 - as above

    from gateway.cli.init.document import FOR_OPERATORS, FOR_SEALING, SECRETS  # noqa: PLC0415 - as above

    return {
        f"{SECRETS}/{FOR_SEALING}": f"{b64encode(os.urandom(32)).decode()}\n",
        f"{SECRETS}/{FOR_OPERATORS}": f"{token_urlsafe(32)}\n",
    }


def _schema() -> str:
    import json  # noqa: PLC0415 - only this command needs them

    from gateway.edge.configfile.schema import schema  # noqa: PLC0415 - pydantic is not cheap

    return f"{json.dumps(schema(), indent=2)}\n"


def _judge(path: Path) -> None:
    """See that the draft is good. Raises CommandError."""
    from gateway.edge.configfile.load import ConfigurationError, load  # noqa: PLC0415 - pydantic is not cheap

    try:
        load(path)
    except ConfigurationError as error:
        problems = "\n".join(map(str, error.problems))
        raise CommandError(
            f"gateway: with these answers the configuration is not good:\n{problems}"
        ) from None


def _answers(options: argparse.Namespace) -> "Answers":
    from gateway.cli.init.answers import Answers  # noqa: PLC0415 - only this command needs them
    from gateway.cli.init.asking import Asking  # noqa: PLC0415 - as above

    asking = Asking(options, _read_secret, _see_issuer)
    public_url = asking.public_url()
    provider, issuer = asking.provider()
    return Answers(
        public_url,
        provider,
        issuer,
        asking.client_id(),
        asking.client_secret(),
        asking.upstream(),
        asking.who(provider),
    )


def _read_secret(name: str) -> str:
    if name == "none":
        return ""
    try:
        if name == "-":
            octets = sys.stdin.buffer.read(_MOST_SECRET + 1)
        else:
            with Path(name).open("rb") as file:
                octets = file.read(_MOST_SECRET + 1)
        text = octets.decode("ascii").strip()
    except OSError as error:
        raise CommandError(f"gateway: --client-secret-file {name} cannot be read: {error.strerror}") from None
    except ValueError:
        text = ""
    if not text or len(octets) > _MOST_SECRET:
        raise CommandError(f"gateway: --client-secret-file {name} holds no client secret")
    return text


def _see_issuer(provider: str, issuer: str) -> str | None:
    """Ask a provider for its metadata; return what is wrong, None where it is found."""
    from gateway.cli.init.discovery import discover  # noqa: PLC0415 - a client

    return discover(provider, issuer)


def _see_provider(answers: "Answers") -> None:
    wrong = _see_issuer(answers.provider, answers.issuer)
    if wrong is not None:
        raise CommandError(f"gateway: {wrong}")


def _tell(output: Path, answers: "Answers", names: list[str]) -> None:
    """Say what was written, and what comes next."""
    from gateway.edge.store.embedded import find_server  # noqa: PLC0415 - only this command asks

    known = answers.known
    named = "" if output == Path("gateway.yaml") else f" --config {output}"
    say(f"wrote {', '.join(str(output.parent / name) for name in names)}")
    say("next:")
    say(f"  1. register at {known.label}: {answers.public_url}{answers.callback}")
    say(f"     and, where it asks for one after logouts: {answers.public_url}/.gateway/logged-out")
    if answers.who.startswith("group:") and known.note:
        say(f"     {known.note}")
    say(f"  2. gateway check --online{named}")
    say(f"  3. gateway run{named}")
    if known.is_public and answers.who == "everybody":
        complain(f"any account of {known.label} comes in: put require on the route to narrow that (warning)")
    try:
        find_server()
    except RuntimeError as error:
        complain(f"{error} (warning)")
