"""An account of a decision, in lines for people."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from gateway.syntax.encoding import Json

Document: TypeAlias = Mapping[str, Any]
"""A JSON object of the account, of which docs/explain.md names the members."""

_SINGLE = {
    "detail": "detail",
    "told": "told",
    "login_url": "login at",
    "provider": "provider",
    "redirect_uri": "redirect",
    "return_to": "then to",
    "location": "location",
    "contact": "ask",
}
_WIDTH = 10


def tell(document: Mapping[str, Json]) -> list[str]:
    """Return an account in lines."""
    told: Document = document
    lines = [_line("request", f"{told['method']} {told['target']} at {told['host']}")]
    for name, label in (("logged", "logged"), ("asked_by", "asked by"), ("worker", "worker")):
        if name in told:
            shown = _logged(told[name]) if name == "logged" else str(told[name])
            lines.append(_line(label, shown))
    if "route" in told:
        lines.append(_line("route", f"{told['route']['name']} (access: {told['route']['access']})"))
    lines.append(_line("decision", told["decision"]))
    if "needs" in told:
        need = told["needs"]
        lines.append(_line("needs", f"{_need(need)}, which a running gateway would fetch now"))
    if "reason" in told:
        lines.append(_line("reason", told["reason"]))
    if "limit" in told:
        lines.append(_line("limit", _limit(told["limit"])))
    if "upstream" in told:
        upstream = told["upstream"]
        lines += [_line("upstream", upstream["name"]), _line("target", upstream["target"])]
        lines += ["headers:", *(f"  {each['name']}: {each['value']}" for each in upstream["headers"])]
    if "status" in told:
        lines.append(_line("status", str(told["status"])))
    lines += [_line(label, told[name]) for name, label in _SINGLE.items() if told.get(name)]
    if told.get("missing"):
        lines.append(_line("missing", "; ".join(told["missing"])))
    # a saved line may be anybody's
    return [_printable(line) for line in (*lines, *_why(told))]


def _why(told: Document) -> list[str]:
    lines = [_line("shown", _credential(each)) for each in told.get("credentials", ())]
    lines += _checks(told.get("checks", ()))
    if told.get("policy"):
        lines += ["policy:", *_node(told["policy"], "  ")]
    if told.get("facts"):
        lines += ["facts:", *(f"  {_fact(each)}" for each in told["facts"])]
    if told.get("not_done"):
        lines.append(_line("not done", "; ".join(told["not_done"])))
    if others := told.get("routes"):
        width = max(len(each["name"]) for each in others)
        lines += ["not on:", *(f"  {each['name']:<{width}}  {each['why']}" for each in others)]
        if left_out := told.get("routes_left_out"):
            lines.append(f"  ... and {left_out} more")
    return lines


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in line)


def _line(label: str, text: str) -> str:
    return f"{label + ':':<{_WIDTH}}{text}"


def _logged(logged: Document) -> str:
    return ", ".join(f"{name} {value}" for name, value in logged.items())


def _need(need: Document) -> str:
    provider = need["provider"]
    return f"{need['what']} of provider {provider}" if provider else str(need["what"])


def _limit(limit: Document) -> str:
    whom = "for all gateways together" if limit["shared"] else "in each worker"
    return (
        f"{limit['burst']} at once, then one every {limit['seconds_each']:g} s, by {limit['by']},"
        f" counted {whom}"
    )


def _credential(each: Document) -> str:
    if not each["counts"]:
        return f"{each['kind']}, which does not count beside the other"
    if "reason" in each:
        return f"{each['kind']}: {each['reason']}"
    if "needs" in each:
        return f"{each['kind']}, of which {_need(each['needs'])} would tell"
    where = f" at {each['provider']}" if each["provider"] else ""
    which = next((f" ({name} {each[name]})" for name in ("session", "key") if each[name]), "")
    return f"{each['kind']} of {each['subject']}{where}{which}"


def _checks(checks: Sequence[Document]) -> list[str]:
    lines = []
    for outcome in ("passed", "failed", "unknown", "not asked"):
        names = [
            f"{each['check']} ({each['reason']})" if each.get("reason") else each["check"]
            for each in checks
            if each["outcome"] == outcome
        ]
        if names:
            lines.append(_line(outcome, (" " if len(outcome) > _WIDTH - 2 else "") + ", ".join(names)))
    return lines


def _node(node: Document, indent: str) -> list[str]:
    words = node["asks_for"] or "a condition"
    known = "" if node.get("is_known", True) else ", as nobody knows"
    verdict = "passed" if node["outcome"] == "passed" else f"failed ({node['reason']}{known})"
    lines = [f"{indent}{verdict}: {words}"]
    for name, label in (("all_of", "all of:"), ("one_of", "one of:")):
        if name in node:
            lines.append(f"{indent}  {label}")
            lines += [line for each in node[name] for line in _node(each, indent + "    ")]
    return lines


def _fact(fact: Document) -> str:
    age = "" if fact["age"] is None else f", {_seconds(fact['age'])} old"
    most = fact.get("most_age")
    return f"{fact['fact']}: {fact['from']}{age}" + (
        f" (at most {most:g} s here)" if most is not None else ""
    )


def _seconds(age: float) -> str:
    return f"{age:.1f} s" if age < 10 else f"{age:.0f} s"
