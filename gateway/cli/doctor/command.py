"""The command ``doctor``: takes the parsed options and returns the exit code; raises CommandError."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.arguments import add_config, command, seconds_up_to
from gateway.cli.configuration import load_configuration
from gateway.cli.terminal import CommandError, complain, say

if TYPE_CHECKING:
    from gateway.cli.arguments import Parser
    from gateway.cli.doctor.log import Failure
    from gateway.cli.doctor.walk import Start
    from gateway.config.settings.root import Settings
    from gateway.core.reasons import Reason
    from gateway.syntax.encoding import Json

_WITHIN = 10.0
_MOST_TOLD = 20


def add_arguments(parsers: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command."""
    parser = command(parsers, "doctor", "find out why a login fails", doctor)
    add_config(parser)
    parser.add_argument(
        "reason", metavar="REASON", nargs="?", help="the word at the foot of the page, or of the log"
    )
    parser.add_argument("--log", metavar="FILE", help="ask a log about its failed logins; -: standard input")
    parser.add_argument(
        "--request-id", metavar="ID", help="which one of the log: at the foot of the page, too"
    )
    parser.add_argument(
        "--url", metavar="URL", help="walk through a login from this page; default: the first public_url"
    )
    parser.add_argument("--ca-file", metavar="FILE", help="who may sign the site's certificate, for the walk")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds_up_to(120),
        default=_WITHIN,
        help="for each step; default: 10",
    )


def doctor(options: argparse.Namespace) -> int:
    """Find out why a login fails: by its reason, from a log, or by walking through one."""
    given = [name for name in ("reason", "log", "url") if getattr(options, name) is not None]
    if len(given) > 1:
        raise CommandError("gateway: give a REASON, a --log or a --url, one of them")
    if options.request_id is not None and options.log is None:
        raise CommandError("gateway: --request-id is for --log: name the file of the gateway's log")
    if options.reason is not None:
        return _by_reason(options)
    if options.log is not None:
        return _by_log(options)
    return _by_walk(options)


def _by_reason(options: argparse.Namespace) -> int:
    from gateway.core.diagnoses import DIAGNOSES  # noqa: PLC0415 - not for other commands
    from gateway.core.reasons import Reason  # noqa: PLC0415 - as above

    try:
        reason = Reason(options.reason)
    except ValueError:
        from difflib import get_close_matches  # noqa: PLC0415 - only a slip needs it

        near = get_close_matches(options.reason, [each.value for each in Reason], 1)
        hint = f": did you mean {near[0]}?" if near else "; docs/reasons.md lists them"
        raise CommandError(f"gateway: there is no such reason{hint}") from None
    if reason not in DIAGNOSES:
        raise CommandError(
            f"gateway: {reason} is no reason of a login: see docs/reasons.md, and gateway explain"
        )
    if options.json:
        _say_json([_told(reason)])
    else:
        for line in _lines(reason):
            say(line)
    return 0


def _told(reason: "Reason") -> "dict[str, Json]":
    from gateway.core.diagnoses import DIAGNOSES  # noqa: PLC0415 - as above

    diagnosis = DIAGNOSES[reason]
    return {"reason": reason.value, "cause": diagnosis.cause, "look": list(diagnosis.look)}


def _lines(reason: "Reason") -> Iterator[str]:
    from gateway.core.diagnoses import DIAGNOSES  # noqa: PLC0415 - as above

    diagnosis = DIAGNOSES[reason]
    yield f"{reason}: {diagnosis.cause}"
    for each in diagnosis.look:
        yield f"  - {each}"


def _by_log(options: argparse.Namespace) -> int:
    from gateway.cli.doctor.log import failures  # noqa: PLC0415 - only this way needs it

    found = failures(_read(options.log), options.request_id)
    if not found:
        which = f" of request id {options.request_id}" if options.request_id is not None else ""
        raise CommandError(
            f"gateway: there is no failed login{which} in it: it takes the gateway's lines, JSON or logfmt"
            " (the audit log, where that is a file of its own)"
        )
    if options.json:
        _say_json([_failure(each) for each in found])
        return 0
    for line in _summary(found):
        say(line)
    return 0


def _failure(failure: "Failure") -> "dict[str, Json]":
    from gateway.cli.online.findings import plain  # noqa: PLC0415 - as above

    names = ("time", "request_id", "provider", "client", "detail", "claim", "cause")
    told: dict[str, Json] = {name: plain(text) for name in names if (text := getattr(failure, name))}
    known = failure.known
    return told | ({"reason": plain(failure.reason)} if known is None else _told(known))


def _summary(found: "list[Failure]") -> Iterator[str]:
    """Yield the failures by kind, the most frequent first."""
    from gateway.cli.doctor.causes import explained  # noqa: PLC0415 - as above
    from gateway.cli.online.findings import plain  # noqa: PLC0415 - as above

    kinds: dict[tuple[str, str, str, str], list[Failure]] = {}
    for each in found:
        kinds.setdefault((each.reason, each.cause, each.detail, each.claim), []).append(each)
    for index, (kind, alike) in enumerate(sorted(kinds.items(), key=lambda pair: -len(pair[1]))):
        if index == _MOST_TOLD:
            yield f"and {len(kinds) - index} more kinds"
            return
        last, known = alike[-1], alike[-1].known
        _, cause, detail, claim = kind
        told = ", ".join(
            [
                "once" if len(alike) == 1 else f"{len(alike)} times",
                f"last {last.time or 'at an unknown time'}",
                *([f"request id {last.request_id}"] if last.request_id else []),
                *([f"provider {last.provider}"] if last.provider else []),
                *([f"detail: {detail}"] if detail else []),
                *([f"claim: {claim}"] if claim else []),
            ]
        )
        yield plain(told)
        if known is None:
            yield f"  {plain(last.reason)}: no reason of a login; gateway explain --log tells why it is"
        else:
            first, *rest = _lines(known)
            yield f"  {first}"
            if likeliest := explained(cause):
                yield f"  most likely: {likeliest}"
            yield from (f"  {line}" for line in rest)


def _read(name: str) -> Iterator[bytes]:
    from gateway.cli.doctor.log import MOST_LOG  # noqa: PLC0415 - only this way needs it

    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_LOG))
            yield from file
    except OSError as error:
        raise CommandError(f"gateway: --log {name} cannot be read: {error.strerror}") from None


def _by_walk(options: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - only this way needs them

    from gateway.cli.doctor.lacks import ask_what_it_lacks  # noqa: PLC0415 - as above
    from gateway.cli.doctor.walk import Walk  # noqa: PLC0415 - a client
    from gateway.cli.online.findings import plain  # noqa: PLC0415 - as above

    start, settings = _start(options)
    known = [] if settings is None else [ask_what_it_lacks(settings.admin, options.timeout)]
    findings = known + asyncio.run(Walk(start).go())
    is_well = all(finding.answer != "no" for finding in findings)
    if options.json:
        _say_json([finding.to_json() for finding in findings])
        return 0 if is_well else 1
    for finding in findings:
        say(finding.to_line())
    first = next((finding for finding in findings if finding.answer == "no"), None)
    if first is not None:
        complain(f"probably this is why: {plain(first.detail or first.question)}")
        return 1
    complain(
        "as far as a login goes without a person, all is well; gateway check --online asks about the client's"
    )
    complain(
        "secret. Log in, and give me the word at the foot of the page that fails (gateway doctor REASON), or"
    )
    complain("the log (gateway doctor --log FILE)")
    return 0


def _start(options: argparse.Namespace) -> "tuple[Start, Settings | None]":
    """Return where the walk begins, and the configuration where one can be read."""
    from gateway.cli.doctor.walk import Start  # noqa: PLC0415 - a client
    from gateway.config.sites import first_url, site_urls  # noqa: PLC0415 - pydantic is not cheap
    from gateway.syntax.urls import split_url  # noqa: PLC0415 - as above

    try:
        settings = load_configuration(options)[1].settings
    except CommandError:
        if options.url is None or options.config is not None:
            raise
        complain("gateway: no configuration can be read here, so only what is seen from outside counts")
        settings = None
    url = options.url or (first_url(settings) if settings is not None else "")
    if split_url(url) is None:
        raise CommandError("gateway: --url is no absolute URL such as https://app.example.com/")
    if settings is None:
        return Start(url, options.timeout, ca_file=options.ca_file), None
    start = Start(
        url,
        options.timeout,
        settings.prefix,
        site_urls(settings),
        tuple(each.issuer for each in settings.providers.values()),
        options.ca_file,
    )
    return start, settings


def _say_json(document: "list[dict[str, Json]]") -> None:
    import json  # noqa: PLC0415 - only one way of this command needs it

    say(json.dumps(document, indent=2))
