"""The JSON Schema of the configuration: its name, what it accepts, and the files that lead editors to it."""

import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from gateway.edge.configfile.load import load
from gateway.edge.configfile.schema import SCHEMA_ID, schema
from tests.support.configuration import READY, TREE, environment, with_secrets

FILE = TREE / "config/gateway.schema.json"
# README shows its ten lines as they are, to be copied anywhere
SHOWN = TREE / "config/minimal.yaml"
SHIPPED = sorted(
    path
    for directory in ("config", "deploy")
    for path in (TREE / directory).rglob("*.yaml")
    if re.search(r"^public_url:", text := path.read_text(encoding="utf-8"), re.MULTILINE)
    and re.search(r"^upstreams:", text, re.MULTILINE)
)
SCHEMA = schema()
REFERENCES = ("${env:NAME}", "${file:/run/secrets/name}", "prefix-${env:NAME}")


def test_its_name_needs_no_host():
    """[12.cli]: the $id is stable and a name, so nothing is fetched for it."""
    assert SCHEMA["$id"] == SCHEMA_ID == "urn:token-gateway:configuration:1"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert not re.findall(r'"\$(?:ref|id)": "(?!#|urn:)', FILE.read_text())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(TREE)))
def test_shipped_files_name_it(path):
    """[12.cli]: by a path that is there, on the line where yaml-language-server looks."""
    if path == SHOWN:
        return
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert match, f"{path}: begin with # yaml-language-server: $schema=gateway.schema.json"
    assert (path.parent / match[1]).resolve() == FILE


def test_shipped_files_are_valid():
    """[12.cli]: by a validator of its own, as CI elsewhere would run it."""
    assert set(READY) <= {str(path.relative_to(TREE)) for path in SHIPPED}
    tool = Path(sys.executable).with_name("check-jsonschema")
    words = [tool, "--schemafile", FILE, *SHIPPED]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_refuses_what_is_no_reference():
    """[12.cli]: a word is no number, and a name without env: or file: leads nowhere."""
    good = yaml.safe_load(SHOWN.read_text())
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert validator.is_valid(good)
    for change in ({"workers": "${NAME}"}, {"workers": "${env:1}"}, {"allow_insecure_http": "$env"}):
        assert not validator.is_valid(good | change), change
    assert not validator.is_valid(good | {"workers": 0})
    weights = {"app": {"servers": ["http://127.0.0.1:3000"], "weights": [0]}}
    assert not validator.is_valid(good | {"upstreams": weights})


def scalars(node: object, path: tuple = ()):
    """Yield each schema in which a scalar may stand; names of sections are none."""
    if not isinstance(node, dict):
        return
    kinds = [each for name in ("anyOf", "oneOf") for each in node.get(name, ())]
    for each in [node, *kinds]:
        if each.get("type") in ("string", "integer", "number", "boolean") or {"enum", "const"} & each.keys():
            yield path, node
            break
    for name in ("properties", "$defs"):
        for key, value in node.get(name, {}).items():
            if (name, key) != ("$defs", "reference"):
                yield from scalars(value, (*path, key))
    for value in [node.get("items"), node.get("additionalProperties"), *kinds]:
        if isinstance(value, dict) and not value.get("$ref") and ("items" in value or value not in kinds):
            yield from scalars(value, (*path, "*"))


def test_it_accepts_references_everywhere():
    """[12.cli]: for texts of a form, words, numbers, durations, truth values, in lists and sections too."""
    found = list(scalars(SCHEMA))
    assert len(found) > 200
    for path, node in found:
        validator = jsonschema.Draft202012Validator({**node, "$defs": SCHEMA["$defs"]})
        for reference in REFERENCES:
            assert validator.is_valid(reference), path


def replaced(node: object, variables: dict[str, str]) -> object:
    """Return plain data in which each scalar is a reference to a variable that holds it."""
    if isinstance(node, dict):
        return {name: replaced(value, variables) for name, value in node.items()}
    if isinstance(node, list):
        return [replaced(value, variables) for value in node]
    if node is None or (isinstance(node, str) and "${" in node):
        return node
    name = f"V{len(variables)}"
    variables[name] = str(node).lower() if isinstance(node, bool) else str(node)
    return f"${{env:{name}}}"


@pytest.mark.parametrize("name", READY)
def test_the_loader_and_the_schema_agree(name, tmp_path):
    """[12.cli]: with each value in a variable of its own a file means the same, and is as valid."""
    path = with_secrets(TREE / name, tmp_path)
    plain = yaml.safe_load(path.read_text())
    variables: dict[str, str] = {}
    moved = tmp_path / "moved.yaml"
    data = replaced(plain, variables)
    moved.write_text(yaml.safe_dump(data))
    before = load(path, environment()).settings
    after = load(moved, environment() | variables).settings
    assert after == before
    jsonschema.Draft202012Validator(SCHEMA).validate(data)
