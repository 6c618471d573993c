"""The JSON Schema of the configuration file, as editors and CI have it."""

from typing import Any, Final

from gateway.config.settings.root import Settings

SCHEMA_ID: Final = "urn:token-gateway:configuration:1"
"""What names the schema, wherever its file is; its number changes where good files are good no longer."""
_REFERENCE: Final = "reference"
_ACCEPTED: Final = {"$ref": f"#/$defs/{_REFERENCE}"}
_UNIONS: Final = ("anyOf", "oneOf")
# what is told of a setting stays with it, whatever its value may be
_NOTES: Final = frozenset({"title", "description", "default", "examples"})
# pydantic leaves these words where a check of ours stands before its own
_BOUNDS: Final = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the configuration file, for editors and CI.

    Wherever a text, number or truth value stands, so may a reference: ``${env:NAME}`` or ``${file:PATH}``.
    """
    made = _with_references(Settings.model_json_schema())
    made["$defs"][_REFERENCE] = {
        "description": "``${env:NAME}`` is an environment variable, ``${file:PATH}`` the text of a file.",
        "pattern": r"\$\{(env:[A-Za-z_][A-Za-z0-9_]*|file:[^{}]+)\}",
        "title": "Reference",
        "type": "string",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **made,
        "title": "Token Gateway configuration",
    }


def _with_references(node: Any) -> Any:  # noqa: ANN401 - a schema may be true or false
    """Return a schema that takes a reference for each scalar; names of sections are as written."""
    if not isinstance(node, dict):
        return node
    made = _bounded(node)
    for name, value in made.items():
        if name in ("properties", "$defs"):
            made[name] = {each: _with_references(value[each]) for each in value}
        elif name in ("items", "additionalProperties"):
            made[name] = _with_references(value)
        elif name in _UNIONS:
            made[name] = [_of_union(each) for each in value]
    return _widened(made)


def _of_union(node: dict[str, Any]) -> dict[str, Any]:
    # of several kinds of scalars, one reference beside them is enough
    return _bounded(node) if _is_scalar(node) else _with_references(node)


def _bounded(node: dict[str, Any]) -> dict[str, Any]:
    return {_BOUNDS.get(name, name): value for name, value in node.items()}


def _widened(node: dict[str, Any]) -> dict[str, Any]:
    union = next((name for name in _UNIONS if name in node), None)
    if union is not None:
        kinds = node[union]
        if not any(map(_is_scalar, kinds)) or any(map(_is_any_text, kinds)):
            return node
        others = {name: value for name, value in node.items() if name != union}
        # a reference is a text, too: of the kinds one may fit, of the whole both
        kinds = [*kinds, _ACCEPTED] if union == "anyOf" else [{union: kinds}, _ACCEPTED]
        return {"anyOf": kinds, **others}
    if not _is_scalar(node) or _is_any_text(node):
        return node
    value = {name: each for name, each in node.items() if name not in _NOTES}
    notes = {name: each for name, each in node.items() if name in _NOTES}
    return {"anyOf": [value, _ACCEPTED], **notes}


def _is_scalar(node: dict[str, Any]) -> bool:
    return node.get("type") in ("string", "integer", "number", "boolean") or "enum" in node or "const" in node


def _is_any_text(node: dict[str, Any]) -> bool:
    """Tell whether any text of reasonable length fits: a reference does, as well."""
    narrow = {"pattern", "enum", "const"} & node.keys()
    return node.get("type") == "string" and not narrow and node.get("maxLength", 4096) >= 1024
