"""The description of the admin API is held against what the listener serves, and against OpenAPI 3.1."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from gateway.edge.admin.openapi import describe
from gateway.edge.admin.routes import Guarded
from tests.unit.test_admin import Asked

DOCUMENT = describe()
PAGE = Path(__file__).parents[2] / "docs/admin-api.md"
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if method != "parameters"
]
NAMES = [f"{method.upper()} {path}" for path, method, _ in OPERATIONS]


def resolved(schema: Any) -> Any:
    """Return a schema that can stand by itself."""
    return {**schema, "components": DOCUMENT["components"]}


def test_it_is_openapi_3_1():
    """[12.admin] By the specification's own schema."""
    assert list(jsonschema_rs.validator_for(OPENAPI_31).iter_errors(DOCUMENT)) == []


async def test_it_is_served_to_everybody():
    """[12.admin] It holds no secret, so a generator of clients needs no token; HEAD as well."""
    async with Asked() as ask:
        status, headers, text = await ask("GET", "/openapi.json")
        assert (status, json.loads(text)) == (200, DOCUMENT)
        assert headers["Content-Type"] == "application/json; charset=utf-8"
        assert (await ask("HEAD", "/openapi.json"))[0] == 200


async def test_every_route_is_described_and_every_description_is_a_route():
    """[12.admin] Path, method and role; what is in braces is described."""
    async with Asked() as ask:
        routes = {
            (path, method.lower(), route.role if isinstance(route, Guarded) else None)
            for path, methods in ask.admin._routes.routes.items()
            for method, route in methods.items()
        }
    described = {
        (path, method, operation["security"][0]["token"][0] if operation["security"] else None)
        for path, method, operation in OPERATIONS
    }
    assert described == routes
    for path, methods in DOCUMENT["paths"].items():
        assert ("{id}" in path) == ("parameters" in methods)


@pytest.mark.parametrize("operation", [each for *_, each in OPERATIONS], ids=NAMES)
def test_examples_are_what_they_show(operation: dict[str, Any]):
    """[12.admin] Every body and answer in JSON has an example, which its schema takes."""
    contents = [operation.get("requestBody", {}).get("content", {})]
    contents += [each.get("content", {}) for each in operation["responses"].values()]
    for content in contents:
        for kind, each in content.items():
            if kind == "application/json" and operation["operationId"] != "getDescription":
                jsonschema.Draft202012Validator(resolved(each["schema"])).validate(each["example"])
    for each in operation.get("parameters", ()):
        if "example" in each:
            jsonschema.Draft202012Validator(each["schema"]).validate(each["example"])
    guarded = {"401", "403", "503"} <= set(operation["responses"])
    assert guarded == bool(operation["security"])


def test_names_are_unique_and_references_lead_somewhere():
    """[12.admin] So that clients can be generated from it; nothing is described that nothing names."""
    names = [operation["operationId"] for *_, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    text = json.dumps(DOCUMENT)
    for kind in ("schemas", "responses"):
        named = {part.partition('"')[0] for part in text.split(f"#/components/{kind}/")[1:]}
        assert named == set(DOCUMENT["components"][kind])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_the_page_has_every_operation(path: str, method: str, operation: dict[str, Any]):
    """[12.admin] docs/admin-api.md: a heading, the role, a line of curl."""
    _, found, section = PAGE.read_text().partition(f"\n### {method.upper()} {path}\n")
    assert found
    section = section.partition("\n#")[0]
    role = operation["security"][0]["token"][0] if operation["security"] else None
    assert (f"Role `{role}`" if role else "No token") in section
    assert "$ curl " in section
    for each in operation.get("parameters", ()):
        assert f"`{each['name']}`" in section, each["name"]
