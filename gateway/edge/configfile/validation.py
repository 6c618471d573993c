"""Validates the data of a configuration file, and says in the file's own terms what is wrong with it."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.checks.problems import Path, Problem, shown_key, suggestion
from gateway.config.settings.base import UNION_TAGS, Model, written_names
from gateway.config.settings.root import Settings
from gateway.core.runtime import problems as problems_of
from gateway.edge.configfile.yaml import Document

_ROUNDS = 4
_NOT_IN_FILE = frozenset((*UNION_TAGS, "[key]"))
_TEXT = "write a text, in quotes if it looks like a number or a truth value"
_REQUIRED = "missing"
_EMPTY = "must not be empty"
_MESSAGES = {
    "missing": _REQUIRED,
    "string_type": _TEXT,
    "string_too_short": _EMPTY,
    "string_too_long": "too long",
    "too_short": _EMPTY,
    "too_long": "too many, or too long",
    "tuple_type": "write a list",
    "dict_type": "write a section: names with values, indented below",
    "model_type": "write a section of settings, indented below; without any, leave it out",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
}
# what is put in the place of a missing value, by its name; unlike any other, so that nothing collides with it
_STAND_INS: dict[str, Callable[[str], object]] = {
    "public_url": lambda _: "https://stand-in.invalid",
    "secret_keys": lambda _: [b64encode(bytes(range(100, 132))).decode()],
    "issuer": lambda where: f"https://{where.encode().hex()[:60]}.invalid",
    "client_id": lambda _: "stand-in",
    "audiences": lambda _: ["stand-in"],
    "servers": lambda _: ["http://stand-in.invalid"],
    "path": lambda where: f"/{where.encode().hex()}",
    "upstream": lambda _: "stand-in",
    "access": lambda _: "required",
    "url": lambda _: "redis://stand-in.invalid",
    "origins": lambda _: ["https://stand-in.invalid"],
}
_WANTED = {
    "access": "write public, optional or required",
    "audiences": "the aud values of which a bearer token must name one",
    "issuer": "the provider's issuer identifier, https://...",
    "public_url": "where browsers find the gateway, https://...",
    "secret_keys": "gateway keys generate prints one",
    "servers": "write a list: [http://127.0.0.1:3000]",
    "upstream": "a name of upstreams",
}
# the forms of what a pattern is for, by the setting's name
_FORMS = {
    "address": "write unix:/path, udp://host:port, tcp://host:port or tls://host:port",
    "name": "write at most 48 printable characters of ASCII, without spaces",
    "sd_id": "write a name and a number: gateway@32473",
    "status": "write a status code or a class of them: 503, 5xx",
    "to": "write log, stderr, stdout, syslog, journald, or a file by its whole path: file:/var/log/audit.log",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def validate(document: Document) -> tuple[Settings | None, list[Problem]]:
    """Validate a document's data.

    Where a value is no good, or missing, the checks go on without it or with a stand-in, so that the problems
    behind it show as well.

    Returns:
        Settings, or None where they cannot be had; and the problems, without which the settings are good.
    """
    problems: list[Problem] = []
    hidden = set(document.broken)
    data = document.data
    for _ in range(_ROUNDS):
        try:
            settings = Settings.model_validate(data)
        except ValidationError as error:
            found = _translated(error, data)
            problems += [
                each for each in found if not _is_hidden(each.path, hidden) and not _emptied(each, hidden)
            ]
            for each in found:
                hidden.add(each.path)
                if each.path and each.path[-1] in _STAND_INS and each.message.startswith(_REQUIRED):
                    stand_in = _STAND_INS[str(each.path[-1])](".".join(map(str, each.path[:-1])))
                    data = _with(data, each.path, stand_in)
                else:
                    gone = each.path[:-1] if each.path and isinstance(each.path[-1], int) else each.path
                    hidden.add(gone)
                    data = _without(data, gone)
        else:
            checked = [each for each in problems_of(settings) if not _is_hidden(each.path, hidden)]
            problems += [each for each in checked if not _follows(each.path, hidden)]
            return settings if data is document.data else None, problems
    return None, problems


def _is_hidden(path: Path, hidden: set[Path]) -> bool:
    return any(path[: len(each)] == each for each in hidden)


def _emptied(problem: Problem, hidden: set[Path]) -> bool:
    # a section that is empty only since its faulty values were left out
    size = len(problem.path)
    return problem.message == _EMPTY and any(each[:size] == problem.path for each in hidden)


def _follows(path: Path, hidden: set[Path]) -> bool:
    # within a section that lost a value, what spans values may be a mere consequence
    return any(len(each) > 1 and each[:-1] == path[: len(each) - 1] for each in hidden)


def _with(data: object, path: Path, value: object) -> object:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(data, dict):
        return {**data, head: _with(data.get(head), rest, value)}
    if isinstance(data, list) and isinstance(head, int):
        return [_with(each, rest, value) if index == head else each for index, each in enumerate(data)]
    return data


def _without(data: object, path: Path) -> object:
    if not path:
        return None
    head, rest = path[0], path[1:]
    if isinstance(data, dict) and head in data:
        if not rest:
            return {key: value for key, value in data.items() if key != head}
        return {**data, head: _without(data[head], rest)}
    if isinstance(data, list) and isinstance(head, int) and head < len(data) and rest:
        return [_without(value, rest) if index == head else value for index, value in enumerate(data)]
    return data


def _translated(error: ValidationError, data: object) -> list[Problem]:
    """Say pydantic's errors in the file's own terms, one for each path, without the values."""
    found: dict[Path, Problem] = {}
    for details in error.errors(include_url=False, include_input=False):
        path, is_whole, value = _path_in_file(details, data)
        if details["type"] == "too_short" and value:
            # it is as long as it should be; that its items are no good is told elsewhere
            continue
        message = (
            _message(details, path) if is_whole else "write a text, a whole number, true, false or a list"
        )
        found.setdefault(path, Problem(path, message))
    return list(found.values())


def _has(data: Any, part: str | int) -> bool:  # noqa: ANN401 - whatever a file may hold
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _path_in_file(details: ErrorDetails, data: Any) -> tuple[Path, bool, object]:  # noqa: ANN401 - the same
    """Return an error's path, whether the file has all of it, and the value there."""
    path: Path = ()
    for part in details["loc"]:
        if _has(data, part):
            data = data[part]
        elif part in _NOT_IN_FILE:
            continue
        elif details["type"] == "missing":
            data = None
        elif isinstance(data, str) and part == 0:
            # a single text where a list is meant as well
            continue
        else:
            return path, False, data
        path = (*path, part)
    return path, True, data


def _message(details: ErrorDetails, path: Path) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "missing" and path and path[-1] in _WANTED:
        return f"{_REQUIRED}: {_WANTED[str(path[-1])]}"
    if kind == "string_type" and path and path[-1] == "listen":
        return "write an address and a port: 127.0.0.1:8080"
    if kind == "extra_forbidden" and path:
        return _unknown(path)
    if kind == "value_error":
        return str(context.get("error", "not acceptable"))
    if kind == "literal_error":
        return f"write {context.get('expected')}"
    if kind == "string_pattern_mismatch":
        return next((_FORMS[part] for part in reversed(path) if part in _FORMS), "not acceptable here")
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"write {words} {context.get(name)}"
    return _MESSAGES.get(kind, "not acceptable here")


def _unknown(path: Path) -> str:
    key, section = str(path[-1]), model_at(path[:-1])
    known = list(written_names(section)) if section is not None else []
    if hint := suggestion(key, known):
        return f"unknown setting{hint}"
    homes = [".".join(home) for home, model in sections() if home and key in written_names(model)]
    if homes:
        return f"unknown setting here - {shown_key(key)} is a setting of {' and of '.join(homes[:3])}"
    return f"unknown setting - known here: {', '.join(known)}"


def _model_in(annotation: object) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((model for each in get_args(annotation) if (model := _model_in(each)) is not None), None)


def model_at(path: Path) -> type[Model] | None:
    """Return the model of the section at a path, or None where there is none."""
    model: type[Model] | None = Settings
    is_within = False
    for part in path:
        if is_within:
            is_within = False
            continue
        name = written_names(model).get(str(part)) if model is not None else None
        if model is None or name is None:
            return None
        field = model.model_fields[name]
        is_within = _is_many(field.annotation)
        model = _model_in(field.annotation)
    return model


def _is_many(annotation: object) -> bool:
    """Tell whether a setting is a list, or sections by name, where it is there."""
    kinds = (annotation, *get_args(annotation))
    return any(get_origin(each) in (tuple, dict) for each in kinds)


def sections() -> Iterator[tuple[tuple[str, ...], type[Model]]]:
    """Yield every section with its path: ``("providers", "*")`` is any provider.

    One that may be in many places, and in itself, is yielded at the first.
    """
    told: set[type[Model]] = set()
    waiting: list[tuple[tuple[str, ...], type[Model]]] = [((), Settings)]
    while waiting:
        path, model = waiting.pop(0)
        if model in told and model.told_once:
            continue
        told.add(model)
        yield path, model
        for name, setting in written_names(model).items():
            annotation = model.model_fields[setting].annotation
            inner = _model_in(annotation)
            if inner is not None:
                waiting.append(((*path, name, "*") if _is_many(annotation) else (*path, name), inner))
