"""The commands about the audit trail: list, export, forget, verify.

Each takes the parsed options and returns the exit code; raises CommandError. What the store keeps is asked of
the running gateway; files are read here. ``verify`` ends with 0 where all is good, 1 where something is
missing or altered, and 3 where that cannot be told.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.cli.arguments import add_config, command
from gateway.cli.configuration import load_configuration
from gateway.cli.running import ask_admin, mandate_of
from gateway.cli.terminal import CommandError, complain, say
from gateway.syntax.dates import read_date

if TYPE_CHECKING:
    from gateway.cli.arguments import Parser
    from gateway.core.audit.chain import Keys
    from gateway.core.audit.verify import Account, Anchors, Walk

_PAGE: Final = 250
_PROGRESS_EVERY: Final = 2.0
_CANNOT_BE_TOLD: Final = 3
_UNITS: Final = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_FILTERS: Final = ("sub", "issuer", "session", "path", "event", "since", "until")


def add_arguments(
    parsers: "argparse._SubParsersAction[Parser]", admin_arguments: Callable[..., None]
) -> None:
    """Add the commands; ``admin_arguments`` adds how the admin listener is found."""
    audit = parsers.add_parser(
        "audit", help="who was where: the audit trail", description="The audit trail: needs audit.keep."
    ).add_commands("ACTION")
    listed = command(audit, "list", "list events, the newest first", list_events)
    listed.add_argument("--limit", metavar="N", type=int, default=100, help="default: 100")
    listed.add_argument("--json", action="store_true", help="print JSON, one event on each line")
    export = command(
        audit, "export", "write events as JSON, one on each line, the newest first", export_events
    )
    export.add_argument(
        "--output", metavar="FILE", help="a file that is not there yet; default: standard output"
    )
    for each in (listed, export):
        each.add_argument("--sub", help="who did it, or whom it is about")
        each.add_argument("--issuer", metavar="URL", help="of this provider alone")
        each.add_argument("--session", metavar="ID", help="of one session, by its public id")
        each.add_argument("--path", help="at this path or below it")
        each.add_argument("--event", metavar="NAME", help="such as login, access or revocation")
        for name in ("since", "until"):
            each.add_argument(
                f"--{name}", metavar="TIME", type=_time, help="2026-01-31T12:00:00Z, or 24h ago: 24h"
            )
    forget = command(audit, "forget", "forget what is personal in the events of somebody", forget_events)
    forget.add_argument("--sub", required=True, help="whom")
    forget.add_argument("--issuer", metavar="URL", help="of this provider alone")
    forget.add_argument(
        "--file", metavar="FILE", action="append", default=[], help="in files that were rotated, instead"
    )
    verify = command(audit, "verify", "tell whether anything is missing or altered", verify_chains)
    verify.add_argument(
        "file", metavar="FILE", nargs="*", help="audit files, the oldest first; default: what the store keeps"
    )
    verify.add_argument("--json", action="store_true", help="print JSON, one chain on each line")
    verify.add_argument(
        "--offline", action="store_true", help="ask no gateway: the ends of files cannot be told then"
    )
    for each in (listed, export, forget, verify):
        add_config(each)
        admin_arguments(each, changes=each is forget)


def _time(text: str) -> str:
    if text[-1:] in _UNITS and text[:-1].isascii() and text[:-1].isdecimal() and len(text) <= 7:
        return f"{time.time() - int(text[:-1]) * _UNITS[text[-1:]]:.3f}"
    if (text.isascii() and text.isdecimal() and len(text) <= 10) or read_date(text) is not None:
        return text
    raise argparse.ArgumentTypeError(
        "write 2026-01-31T12:00:00Z, epoch seconds, or how long ago: 30m, 24h, 7d"
    )


def _events(options: argparse.Namespace, most: int | None) -> Iterator[dict[str, object]]:
    """Yield the events that are asked for, the newest first, page by page."""
    fields = {name: str(value) for name in _FILTERS if (value := getattr(options, name)) is not None}
    before, left = "", most
    while left is None or left > 0:
        limit = {"limit": str(_PAGE if left is None else min(left, _PAGE))}
        answer = ask_admin(
            options, "GET", "/audit", "", fields | limit | ({"before": before} if before else {})
        )
        entries = answer.get("entries")
        for each in entries if isinstance(entries, list) else []:
            if isinstance(each, dict):
                yield each
                left = None if left is None else left - 1
        before = str(answer.get("before") or "")
        if not before:
            return


def list_events(options: argparse.Namespace) -> int:
    """List events."""
    if options.limit < 1:
        raise CommandError("gateway: --limit is 1 or more")
    for each in _events(options, options.limit):
        say(json.dumps(each) if options.json else _line(each))
    return 0


def _line(event: dict[str, object]) -> str:
    where = event.get("path") or event.get("detail") or event.get("value")
    told = (
        event.get("time"),
        event.get("event"),
        event.get("subject") or event.get("actor") or ("forgotten" if event.get("forgotten") else None),
        event.get("status"),
        where,
        event.get("reason"),
        event.get("client"),
    )
    line = "  ".join(_plain("-" if each is None else each) for each in told)
    return f"{line}  (unverified)" if event.get("unverified") else line


def _plain(value: object) -> str:
    # a path or a subject must not move the terminal's cursor, nor turn its text around
    return "".join(sign if sign.isprintable() else "?" for sign in str(value)[:300])


def export_events(options: argparse.Namespace) -> int:
    """Write every event that is asked for."""
    if options.output is None:
        for each in _events(options, None):
            say(json.dumps(each))
        return 0
    try:
        descriptor = os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"gateway: --output {options.output}: {error.strerror}") from None
    count = 0
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        for each in _events(options, None):
            file.write(f"{json.dumps(each)}\n")
            count += 1
    complain(f"{count} events")
    return 0


def forget_events(options: argparse.Namespace) -> int:
    """Forget what is personal in somebody's events."""
    if options.file:
        return _forget_in_files(options)
    fields = {"sub": options.sub} | ({"issuer": options.issuer} if options.issuer is not None else {})
    answer = ask_admin(options, "DELETE", "/audit", "", fields | mandate_of(options))
    say(f"forgotten: what is personal in {answer.get('forgotten')} events")
    return 0


def _forget_in_files(options: argparse.Namespace) -> int:
    from gateway.core.audit.lines import forget, read_line  # noqa: PLC0415 - one command needs it

    keys, count = _keys(options), 0
    current = load_configuration(options)[1].settings.audit.to.removeprefix("file:")
    for name in options.file:
        path = Path(name)
        if path.resolve() == Path(current).resolve():
            raise CommandError(f"gateway: {name} is being written to: move it away first, as logrotate does")
        made = path.with_name(f"{path.name}.forgetting")
        try:
            with path.open("rb") as lines, os.fdopen(_made(made, path), "wb") as file:
                for line in lines:
                    found = read_line(line)
                    kept = line
                    if found is not None and found[1] is not None and _is_whose(options, found[1]):
                        kept, count = forget(keys, line) + b"\n", count + 1
                    file.write(kept)
                file.flush()
                os.fsync(file.fileno())
            made.replace(path)
        except OSError as error:
            raise CommandError(f"gateway: {name}: {error.strerror}") from None
    say(f"forgotten: what is personal in {count} events")
    return 0


def _made(made: Path, like: Path) -> int:
    return os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, like.stat().st_mode & 0o600)


def _is_whose(options: argparse.Namespace, personal: str) -> bool:
    told = json.loads(personal)
    if options.issuer is not None and told.get("issuer") not in (None, "", options.issuer):
        return False
    return options.sub in (told.get("subject"), told.get("owner"), told.get("value"))


def _keys(options: argparse.Namespace) -> "Keys":
    from gateway.core.runtime import ring_of  # noqa: PLC0415 - one command needs them
    from gateway.edge.audit.places import keys_of  # noqa: PLC0415 - as above

    return keys_of(ring_of(load_configuration(options)[1].settings))


def verify_chains(options: argparse.Namespace) -> int:
    """Tell whether anything is missing or altered."""
    from gateway.core.audit.verify import Walk  # noqa: PLC0415 - one command needs it

    keys = _keys(options)
    anchors = _anchors(options)
    walk, progress, strange = Walk(keys, anchors), _Progress(), 0
    if options.file:
        strange = _walk_files(options.file, walk, progress)
    else:
        strange = _walk_store(options, walk, progress)
    progress.end()
    accounts = walk.end(anchors if options.file else _anchors(options))
    for each in accounts:
        _tell(each, as_json=options.json)
    if strange:
        complain(
            f"{strange} lines are no entries of a chain"
            if options.file
            else f"{strange} items are no entries"
        )
    verdicts = {each.verdict for each in accounts}
    bad = verdicts & {"altered", "gap", "cut off"} or (strange and not options.file)
    # where nothing is left, nothing says what was there
    unknown = "cannot be told" in verdicts or not accounts
    if not options.json:
        said = (
            "something is missing or altered" if bad else "not all of it can be told" if unknown else "good"
        )
        say(f"{len(accounts)} chains, {sum(each.entries for each in accounts)} entries: {said}")
    return 1 if bad else _CANNOT_BE_TOLD if unknown else 0


def _anchors(options: argparse.Namespace) -> "Anchors":
    from gateway.core.audit.verify import Anchors  # noqa: PLC0415 - one command needs it

    if options.offline:
        if not options.file:
            raise CommandError(
                "gateway: --offline is for files; what the store keeps is asked of the gateway"
            )
        return Anchors({}, {}, has_firsts=False)
    answer = ask_admin(options, "GET", "/audit/heads", "")
    if options.file:
        return Anchors(_texts(answer.get("files")), {}, has_firsts=False)
    return Anchors(_texts(answer.get("heads")), _texts(answer.get("firsts")))


def _texts(told: object) -> dict[str, str]:
    return {str(name): str(text) for name, text in told.items()} if isinstance(told, dict) else {}


class _Progress:
    """A line on standard error every two seconds, for whoever waits."""

    def __init__(self) -> None:
        self._count = 0
        self._next = time.monotonic() + _PROGRESS_EVERY
        self._is_told = False

    def step(self, count: int) -> None:
        self._count += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY
            self._is_told = True
            sys.stderr.write(
                f"\r{self._count} entries" if sys.stderr.isatty() else f"{self._count} entries\n"
            )
            sys.stderr.flush()

    def end(self) -> None:
        if self._is_told and sys.stderr.isatty():
            sys.stderr.write("\n")


def _walk_store(options: argparse.Namespace, walk: "Walk", progress: _Progress) -> int:
    from gateway.core.audit.chain import read_entry  # noqa: PLC0415 - one command needs it

    after, strange = "", 0
    while True:
        fields = {"limit": str(_PAGE)} | ({"after": after} if after else {})
        answer = ask_admin(options, "GET", "/audit/chain", "", fields)
        entries = answer.get("entries")
        rows = entries if isinstance(entries, list) else []
        for row in rows:
            entry = read_entry(str(row.get("entry")))
            if entry is None:
                strange += 1
                continue
            personal = row.get("personal")
            walk.see(entry, personal if isinstance(personal, str) else None, str(row.get("mark") or ""))
        progress.step(len(rows))
        after = str(answer.get("after") or "")
        if not after:
            return strange


def _walk_files(names: list[str], walk: "Walk", progress: _Progress) -> int:
    from gateway.core.audit.lines import MOST_LINE, read_line  # noqa: PLC0415 - one command needs it

    strange = 0
    for name in names:
        try:
            with Path(name).open("rb") as file:
                while line := file.readline(MOST_LINE + 1):
                    found = read_line(line)
                    if found is not None:
                        walk.see(*found)
                    elif line.strip():
                        strange += 1
                    progress.step(1)
        except OSError as error:
            raise CommandError(f"gateway: {name}: {error.strerror}") from None
    return strange


def _tell(account: "Account", *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict  # noqa: PLC0415 - one option needs it

        say(json.dumps(asdict(account)))
        return
    more = f", {account.forgotten} forgotten" if account.forgotten else ""
    more += f", {account.lost} were lost before they were kept" if account.lost else ""
    span = f"entries {account.first} to {account.last}" if account.entries else "no entries left"
    began = f" {_plain(account.began)} to {_plain(account.ended)}" if account.began else ""
    say(f"{_plain(account.chain)}: {account.verdict}: {span}{began}{more}")
    for each in account.findings:
        say(f"  {each.kind}: entry {each.seq}: {each.text}" if each.seq else f"  {each.kind}: {each.text}")
