"""The schema of audit events: it is what is documented, and what is written."""

import ast
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import gateway
from gateway.cli.main import main
from gateway.config.settings.logs import LogSettings
from gateway.core.audit.chain import PUBLIC, Chain, Keys
from gateway.core.audit.lines import LINKS, forget, link
from gateway.core.audit.schema import COMMON, EVENTS, MEMBERS, schema
from gateway.edge.telemetry.logs import Logs
from tests.support.audit_events import OTHERS, hold

ROOT = Path(gateway.__file__).parent
DOCS = (ROOT.parent / "docs/logs.md").read_text()
TABLE = DOCS.partition("## Audit events")[2].partition("\n## ")[0]
# calls that write audit events, by what they are called
WRITERS = {"audit", "_audit", "_on_event", "_tell"}


def written() -> dict[str, set[str]]:
    """Return the events that the source writes by name, each with the members that it names there."""
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            named = {each.arg: each.value for each in node.keywords if each.arg is not None}
            if isinstance(node.func, ast.Attribute) and node.func.attr in WRITERS and node.args:
                events = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                for event in (
                    each for each in events if isinstance(each, str) and re.fullmatch("[a-z_]+", each)
                ):
                    found.setdefault(event, set()).update(named)
            event = named.get("audit")
            if isinstance(event, ast.Constant) and isinstance(event.value, str):
                details = named.get("details")
                told = {each.value for each in details.keys} if isinstance(details, ast.Dict) else set()
                found.setdefault(event.value, set()).update(told)
    return found


def test_every_event_is_in_the_schema():
    """[12.logs] What the source writes, by its names and the members that stand beside them."""
    found = written()
    assert {"login", "logout", "access", "revocation", "refresh_failed", "console_login"} <= set(found)
    for event, names in found.items():
        if event in EVENTS:
            assert names <= {*COMMON, *EVENTS[event]}, (event, names - {*COMMON, *EVENTS[event]})
    unknown = set(found) - set(EVENTS)
    # the console's way of saying who is refused, and other words of these calls
    assert unknown <= {
        "host",
        "origin",
        "role",
        "not_done",
        "no_token",
        "unknown_token",
        "expired_token",
        "cleartext",
    }


def test_every_event_is_documented():
    """[12.logs] The table of docs/logs.md has exactly the events of the schema."""
    assert set(re.findall(r"^\| `([a-z_]+)` \|", TABLE, re.MULTILINE)) == set(EVENTS)


def test_members_are_described():
    """Each event's members are known, and each that is known is somebody's."""
    used = {*COMMON, *LINKS} | {name for own in EVENTS.values() for name in own}
    assert used == set(MEMBERS)
    assert set(MEMBERS) >= PUBLIC
    for name, (meaning, _) in MEMBERS.items():
        assert meaning, name


def test_the_schema_is_one():
    """[12.logs] Draft 2020-12; the shipped file is the command's own."""
    Draft202012Validator.check_schema(schema())
    shipped = json.loads((ROOT.parent / "config/audit-event.schema.json").read_text())
    assert shipped == schema(), "python -m gateway schema --audit > config/audit-event.schema.json"


def test_the_command_prints_it(capsys):
    """[12.logs] gateway schema --audit."""
    assert main(["schema", "--audit"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_events_are_held_against_it():
    """What is written is one alternative; a member more, an unknown event or another type is none."""
    lines: list[str] = []
    logs = Logs(LogSettings(), write=lines.append, worker=1)
    logs.audit("login", reason="login_completed", subject="alice", provider="demo", claims={"email": "a@b"})
    line = json.loads(lines[0])
    whole = Draft202012Validator(schema())
    hold(line)
    assert not list(whole.iter_errors(line))
    chained = link(Chain("c", "k", bytes(32)), line, "5a")
    hold(json.loads(chained))
    assert not list(whole.iter_errors(json.loads(chained)))
    for wrong in (
        line | {"colour": "red"},
        line | {"event": "log_in"},
        line | {"subject": 1},
        line | {"path": "/x"},
    ):
        assert list(whole.iter_errors(wrong))
        with pytest.raises(AssertionError):
            hold(wrong)
    for event in OTHERS:
        hold({"event": event, "whatever": 1})


def test_what_is_forgotten_is_still_an_event():
    """[12.logs] Without what is personal."""
    line = link(
        Chain("c", "k", bytes(32)), {"time": "t", "level": "info", "event": "login", "subject": "a"}, "5a"
    )
    hold(json.loads(forget(Keys({"k": bytes(32)}), line.encode())))
