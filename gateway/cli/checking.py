"""The command ``check``: takes the parsed options and returns the exit code; raises CommandError."""

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.arguments import add_config, command, seconds_up_to
from gateway.cli.configuration import load_configuration
from gateway.cli.terminal import complain, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.cli.arguments import Parser
    from gateway.cli.online.findings import Finding
    from gateway.config.settings.root import Settings
    from gateway.edge.configfile.load import Loaded

_WITHIN = 20.0


def add_arguments(parsers: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command."""
    parser = command(parsers, "check", "check the configuration, list every problem", check)
    add_config(parser)
    parser.add_argument(
        "--providers", action="store_true", help="ask each provider for its metadata and keys as well"
    )
    parser.add_argument(
        "--online",
        action="store_true",
        help="ask all that it names: providers, store, upstreams, certificates; exit code 1 for any no",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds_up_to(600),
        default=_WITHIN,
        help="for all of --online; default: 20",
    )


def check(options: argparse.Namespace) -> int:
    """Check the configuration, and tell what may be amiss though it is good."""
    path, loaded = load_configuration(options)
    warnings = list(_warnings(path, loaded, options))
    findings: Sequence[Finding] = ()
    if options.online:
        from gateway.cli.online.command import find_out  # noqa: PLC0415 - clients of everything

        findings = find_out(loaded.settings, options.timeout)
    is_good = all(finding.answer != "no" for finding in findings)
    if options.json:
        _say_json(path, loaded.settings, warnings, findings, is_good=is_good)
        return 0 if is_good else 1
    for warning in warnings:
        complain(f"{warning} (warning)")
    count = len(warnings)
    say(f"{path}: good" + (f", with {count} warning{'s' if count > 1 else ''}" if count else ""))
    for line in _to_register(loaded.settings):
        say(line)
    for finding in findings:
        say(finding.to_line())
    if findings:
        say(_summary(findings))
    return 0 if is_good else 1


def _warnings(path: Path, loaded: "Loaded", options: argparse.Namespace) -> "Iterator[str]":
    """Yield a line for each warning, of the file and of what it names."""
    from gateway.edge.configfile.load import show  # noqa: PLC0415 - pydantic is not cheap
    from gateway.edge.providers.proxy import proxied  # noqa: PLC0415 - only this command asks
    from gateway.edge.store.check import check_store  # noqa: PLC0415 - a client of the store
    from gateway.edge.store.state_dir import look  # noqa: PLC0415 - as above

    settings = loaded.settings
    if loaded.warnings:
        yield from show(str(path), loaded.warnings).splitlines()
    # with --online it is one of the answers
    if not options.online and (warning := check_store(settings)) is not None:
        yield f"{path}: redis: {warning}"
    if settings.redis is None:
        for warning in look(Path(settings.state_dir)):
            yield f"{path}: state_dir: {warning}"
    for warning in proxied(settings):
        yield f"{path}: {warning}"
    if options.providers and not options.online:
        from gateway.edge.providers.check import check_providers  # noqa: PLC0415 - a client of the providers

        for warning in check_providers(settings):
            yield f"{path}: {warning}"


def _to_register(settings: "Settings") -> "Iterator[str]":
    from gateway.core.runtime import key_uris, redirect_uris  # noqa: PLC0415 - the whole core

    for name, uris in redirect_uris(settings).items():
        yield f"register at provider {name}: {' '.join(uris)}"
    for name, uri in key_uris(settings).items():
        yield f"jwks_uri for provider {name}: {uri}"


def _summary(findings: "Sequence[Finding]") -> str:
    counts = Counter(finding.answer for finding in findings)
    return ", ".join(
        f"{counts[answer]} {answer}" for answer in ("yes", "no", "cannot be told") if counts[answer]
    )


def _say_json(
    path: Path,
    settings: "Settings",
    warnings: "Sequence[str]",
    findings: "Sequence[Finding]",
    *,
    is_good: bool,
) -> None:
    import json  # noqa: PLC0415 - only one way of this command needs it

    from gateway.core.runtime import redirect_uris  # noqa: PLC0415 - the whole core

    document = {
        "file": str(path),
        "good": is_good,
        "warnings": list(warnings),
        "register": redirect_uris(settings),
        "answers": [finding.to_json() for finding in findings],
    }
    say(json.dumps(document, indent=2))
