"""The pages of the reference that are made from the code: settings, reasons, metrics, audit events, commands.

Each function returns one page of Markdown. What a reader needs and the code does not say (a setting without a
text, a metric without a meaning) raises Undocumented, so that no page is made with a hole in it.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.cli.main import _parser
from gateway.core.audit.schema import schema as audit_schema
from gateway.core.reasons import Reason, status_of
from gateway.edge.admin.openapi import describe
from gateway.edge.configfile.schema import schema
from gateway.edge.rendering.pages import TEXTS
from gateway.edge.telemetry.metric_catalogue import CATALOGUE

Schema = Mapping[str, Any]

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_DURATION = "(ms|s|m|h|d)"
_REFERENCE = re.compile(r"\\\$\\?\{|\$\{")


_SETTINGS = """# Every setting

Made from the models that read the configuration. [Configuration](../docs/configuration.md) tells what
belongs together and why; [config/gateway.yaml](../config/gateway.yaml) has an example of each.

Durations are numbers with a unit (`500ms`, `90s`, `10m`, `8h`, `7d`). A key that is not listed here is an
error. Any value may be `${env:NAME}` or `${file:PATH}`.

## Top level
"""
_REASONS = """# Every reason

Made from the vocabulary and from what pages and problem documents say. [Reasons](../docs/reasons.md) tells
operators what to do about each.

| Reason | Status | In a problem document | On the page |
|---|---|---|---|"""
_METRICS = """# Every metric

Made from the catalogue that scrapes are merged by. [Metrics](../docs/metrics.md) has the labels, and what is
worth an alert.

| Metric | Type | Over several workers | Meaning |
|---|---|---|---|"""
_ADMIN = """# Every admin endpoint

Made from the description that the admin listener serves at `/openapi.json` (OpenAPI 3.1). [The admin
API](../docs/admin-api.md) has an example of each.
"""
_AUDIT = """# Every audit event

Made from their JSON Schema (`gateway schema --audit`). [Logs](../docs/logs.md#audit-events) tells when each
is written, [the audit trail](../docs/audit.md) how they are kept. Every event has `time`, `level` and
`event`, may have `worker`, and where it is chained `chain`, `seq`, `prev`, `mac`, `salt`, `digest` and
`forgotten`.

| Event | What it may have beside |
|---|---|"""
_CHAINED = ("chain", "seq", "prev", "mac", "salt", "digest", "forgotten")
_EVERYWHERE = frozenset({"event", "time", "level", "worker", *_CHAINED})
_COMMANDS = """# Every command

What `--help` says. [Command line](../docs/cli.md) tells what the commands are for.
"""


class Undocumented(Exception):  # noqa: N818 - what is wrong is what it is called
    """Something that the reference has to tell of says nothing of itself."""


def pages() -> dict[str, str]:
    """Return every page by its file name. Raises Undocumented."""
    return {
        "settings.md": settings(),
        "reason-words.md": reasons(),
        "metric-names.md": metrics(),
        "commands.md": commands(),
        "admin-endpoints.md": admin_endpoints(),
        "audit-events.md": audit_events(),
    }


def settings() -> str:
    """Return the page of every setting, from the models of the configuration."""
    whole = schema()
    told = [_SETTINGS]
    told += _table(whole, whole)
    done: set[str] = set()
    waiting = list(_sections(whole, whole, ""))
    while waiting:
        path, name = waiting.pop(0)
        if name in done:
            continue
        done.add(name)
        section = whole["$defs"][name]
        told.append(f"\n(settings-{name.lower()})=\n## `{path}`\n\n{_described(section, path)}\n")
        told += _table(section, whole)
        waiting += _sections(section, whole, path)
    left = set(whole["$defs"]) - done
    if left := {each for each in left if "properties" in whole["$defs"][each]}:
        raise Undocumented(f"sections that no setting leads to: {sorted(left)}")
    return "\n".join(told) + "\n"


def _described(section: Schema, path: str) -> str:
    text = str(section.get("description", "")).strip()
    if not text:
        raise Undocumented(f"setting {path}")
    return _literal(text)


def _literal(text: str) -> str:
    """Return a docstring's text as Markdown, in one line."""
    return " ".join(text.replace("``", "`").split())


def _table(section: Schema, whole: Schema) -> list[str]:
    required = set(section.get("required", ()))
    rows = ["| Setting | Type | Default | |", "|---|---|---|---|"]
    for name, setting in section["properties"].items():
        default = "**required**" if name in required else _default(setting, whole)
        text = _described(_own_text(setting, whole), name)
        rows.append(f"| `{name}` | {_type(setting, whole)} | {default} | {_cell(text)} |")
    return rows


def _own_text(setting: Schema, whole: Schema) -> Schema:
    """Return what has the setting's description: itself, else the section that it is."""
    if setting.get("description"):
        return setting
    for name in _referred(setting, whole):
        if whole["$defs"][name].get("description"):
            return whole["$defs"][name]
    return setting


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(setting: Schema, whole: Schema) -> str:
    if "default" not in setting or setting["default"] is None:
        return ""
    value = setting["default"]
    if isinstance(value, dict) and _referred(setting, whole):
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _is_duration(setting, whole):
        return f"`{_duration(float(value))}`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    shown = json.dumps(value, ensure_ascii=False)
    return f"`{shown}`" if len(shown) < 120 else "see [gateway.yaml](../config/gateway.yaml)"


def _is_duration(setting: Schema, whole: Schema) -> bool:
    return any(_DURATION in str(each.get("pattern", "")) for each in _kinds(setting, whole))


def _duration(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def _kinds(setting: Schema, whole: Schema) -> Iterator[Schema]:
    """Yield the alternatives of a setting at any depth; a section stays a reference."""
    for word in ("anyOf", "oneOf"):
        if word in setting:
            for each in setting[word]:
                yield from _kinds(each, whole)
            return
    if "$ref" in setting:
        target = whole["$defs"][setting["$ref"].rpartition("/")[2]]
        if "properties" not in target:
            yield from _kinds(target, whole)
            return
    yield setting


def _type(setting: Schema, whole: Schema) -> str:
    told: list[str] = []
    for each in _kinds(setting, whole):
        word = _word(each, whole)
        if word and word not in told:
            told.append(word)
    if "duration" in told:
        told = [each for each in told if not each.startswith("number")]
    return " or ".join(told) or "anything"


def _word(kind: Schema, whole: Schema) -> str:  # noqa: C901 - a list of early answers
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        return f"[section](#settings-{name.lower()})"
    if "const" in kind:
        return f"`{kind['const']}`"
    if "enum" in kind:
        return " or ".join(f"`{each}`" for each in kind["enum"])
    match kind.get("type"):
        case "null":
            return ""
        case "string" if _DURATION in kind.get("pattern", ""):
            return "duration"
        case "string" if _REFERENCE.search(kind.get("pattern", "")):
            return ""
        case "string":
            return "text"
        case "boolean":
            return "`true` or `false`"
        case "integer" | "number":
            return "number" + _bounds(kind)
        case "array":
            return f"list of {_type(kind.get('items', {}), whole)}"
        case "object" if isinstance(kind.get("additionalProperties"), dict):
            return f"by name: {_type(kind['additionalProperties'], whole)}"
        case "object":
            return "mapping"
    return ""


def _bounds(kind: Schema) -> str:
    least = kind.get("minimum", kind.get("exclusiveMinimum"))
    most = kind.get("maximum", kind.get("exclusiveMaximum"))
    if least is None and most is None:
        return ""
    if most is None:
        return f" from {least}"
    return f" up to {most:,}" if least is None else f" {least} to {most:,}"


def _referred(kind: Schema, whole: Schema) -> list[str]:
    """Return the sections that a setting may be, at whatever depth."""
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        return [name] if "properties" in whole["$defs"][name] else []
    inner = [*kind.get("anyOf", ()), *kind.get("oneOf", ())]
    inner += [
        each for each in (kind.get("items"), kind.get("additionalProperties")) if isinstance(each, dict)
    ]
    return [name for each in inner for name in _referred(each, whole)]


def _sections(section: Schema, whole: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Yield the sections below one, each with its path in the file."""
    for name, setting in section.get("properties", {}).items():
        place = f"{path}.{name}" if path else name
        for kind in [setting, *_kinds(setting, whole)]:
            if isinstance(kind.get("items"), dict):
                yield from ((f"{place}[]", each) for each in _referred(kind["items"], whole))
            elif isinstance(kind.get("additionalProperties"), dict):
                yield from (
                    (f"{place}.NAME", each) for each in _referred(kind["additionalProperties"], whole)
                )
            elif "$ref" in kind:
                yield place, kind["$ref"].rpartition("/")[2]


def reasons() -> str:
    """Return the page of every reason, from the vocabulary and the texts of pages."""
    rows = [_REASONS]
    for reason in Reason:
        text = TEXTS.get(reason)
        if text is None or not text.sentence or not text.title:
            raise Undocumented(f"reason {reason}")
        rows.append(
            f"| `{reason.value}` | {status_of(reason)} | {_cell(text.sentence)} | {_cell(text.title)} |"
        )
    return "\n".join(rows) + "\n"


def metrics() -> str:
    """Return the page of every metric, from the catalogue."""
    rows = [_METRICS]
    for name, meaning in CATALOGUE.items():
        if not meaning.text:
            raise Undocumented(f"metric {name}")
        merged = meaning.merge if meaning.type == "gauge" else "sum"
        rows.append(f"| `{name}` | {meaning.type} | {merged} | {_cell(meaning.text)} |")
    return "\n".join(rows) + "\n"


def audit_events() -> str:
    """Return the page of every audit event and its fields, from their schema."""
    whole = audit_schema()
    told = [_AUDIT]
    for each in whole["oneOf"]:
        name = each["properties"]["event"]["const"]
        fields = [f"`{field}`" for field in each["properties"] if field not in _EVERYWHERE]
        told.append(f"| `{name}` | {', '.join(fields)} |")
    told.append("\n## Fields\n\n| Field | Type | |\n|---|---|---|")
    for name, field in whole["properties"].items():
        if not field.get("description"):
            raise Undocumented(f"field {name} of audit events")
        told.append(f"| `{name}` | {_type(field, whole)} | {_cell(_literal(field['description']))} |")
    return "\n".join(told) + "\n"


def admin_endpoints() -> str:
    """Return the page of every endpoint of the admin listener, from its own description."""
    told = [_ADMIN]
    for path, methods in describe()["paths"].items():
        for method, about in methods.items():
            if method == "parameters":
                continue
            if not about.get("summary"):
                raise Undocumented(f"{method} {path}")
            told.append(f"## {method.upper()} `{path}`\n\n{about['summary']}.\n")
            rows = [
                f"| `{each['name']}` | {each['in']} | {_cell(each.get('description', ''))} |"
                for each in (*methods.get("parameters", ()), *about.get("parameters", ()))
                if "name" in each
            ]
            if rows:
                told += ["| Parameter | In | |\n|---|---|---|", *rows, ""]
            answers = ", ".join(f"`{status}`" for status in about["responses"])
            told.append(f"Answers: {answers}.\n")
    return "\n".join(told)


def commands() -> str:
    """Return the page of every command, as ``--help`` tells of it."""
    told = [_COMMANDS]
    told += [f"## `{name}`\n\n```text\n{text.rstrip()}\n```\n" for name, text in _commands(_parser(["demo"]))]
    return "\n".join(told)


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    inner = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]  # noqa: SLF001
    if not inner:
        if not parser.description:
            raise Undocumented(f"command {parser.prog}")
        yield parser.prog, parser.format_help()
    for action in inner:
        for each in action.choices.values():
            yield from _commands(each)
