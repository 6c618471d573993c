"""Audit events held against their schema, wherever tests write any."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from gateway.core.audit.schema import EVENTS, schema

OTHERS = {"request", "message", "error", "log_lines_dropped"}


@cache
def _validators() -> dict[str, Draft202012Validator]:
    """Return what judges each event: of the alternatives the one that is meant, so that it says why."""
    whole = schema()
    alternatives = {each["properties"]["event"]["const"]: each for each in whole["oneOf"]}
    base = {name: value for name, value in whole.items() if name not in ("oneOf", "$id")}
    return {event: Draft202012Validator(base | {"allOf": [each]}) for event, each in alternatives.items()}


def hold(line: Mapping[str, Any]) -> None:
    """Raise AssertionError where a line is an audit event that its schema does not describe."""
    event = line.get("event")
    if event in OTHERS or event is None:
        return
    assert event in EVENTS, f"{event} is no audit event of gateway/core/audit/schema.py"
    wrong = [error.message for error in _validators()[event].iter_errors(dict(line))]
    assert not wrong, (event, wrong, dict(line))
