"""The loader: one file in, settings out, or every problem at once with its path and line."""

import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from gateway.config.checks.problems import shown_path
from gateway.config.settings.base import parse_duration, written_names
from gateway.config.settings.root import Settings
from gateway.edge.configfile.load import ConfigurationError, load, load_settings, parse, show
from gateway.edge.configfile.schema import schema
from gateway.edge.configfile.validation import sections, validate
from gateway.edge.configfile.yaml import Document
from tests.support.configuration import DOCS, KEY, READY, TREE, environment, rows, with_secrets

MINIMAL = """\
public_url: https://app.example.com
secret_keys: ["${env:KEY}"]
providers:
  corporate:
    issuer: https://login.example.com
    client_id: app
    client_secret: ${env:SECRET}
    audiences: [api]
upstreams: {app: {servers: ["http://127.0.0.1:3000"]}}
routes:
  - {path: /, upstream: app, access: required}
"""
ENVIRONMENT = {"KEY": KEY, "SECRET": "hunter2-hunter2"}


def read(text: str | bytes, base: Path = Path("/nowhere"), **more: str):
    octets = text if isinstance(text, bytes) else text.encode()
    return parse(octets, "gateway.yaml", base, ENVIRONMENT | more)


def faults(text: str | bytes, base: Path = Path("/nowhere"), **more: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, base, **more)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    assert "hunter2" not in str(caught.value)
    return [line.removeprefix("gateway.yaml:") for line in lines]


def test_minimal():
    """The ten lines are enough."""
    loaded = read(MINIMAL)
    assert loaded.settings.public_url == ("https://app.example.com",)
    assert loaded.settings.providers["corporate"].client_secret.get_secret_value() == "hunter2-hunter2"
    assert loaded.settings.redis is None
    assert loaded.warnings == []


def test_every_refusal_says_what_to_write():
    """A value that no setting takes is answered with what to write there, whichever setting it is."""
    told: dict[str, str] = {}
    for home, model in sections():
        for name in written_names(model):
            for value in ("\u00a7 \u00a7", ["\u00a7"]):
                document = yaml.safe_load(MINIMAL)
                here = document
                for part in home:
                    if part != "*":
                        here = here.setdefault(part, {})
                    elif isinstance(here, list):
                        here = here[0]
                    else:
                        here = next(iter(here.values())) if here else here.setdefault("one", {})
                if isinstance(here, dict):
                    here[name] = value
                    _, found = validate(Document(document))
                    told |= {f"{shown_path(each.path)} of {name}": each.message for each in found}
    assert len(told) > 100
    assert {where for where, message in told.items() if "not acceptable" in message} == set()


def test_all_problems_with_their_lines():
    """Wrong types, unknown keys, missing variables and what spans settings: one list, in the file's order."""
    text = (
        MINIMAL.replace("audiences: [api]", "audiences: []\n    algorithms: [none]\n    client_secrt: x")
        .replace("KEY}", "NOPE}")
        .replace("upstream: app,", "upstream: ap,")
    )
    text += "lisen: 0.0.0.0:80\nsession: {idle_lifetime: 8 hours}\nprefix: nope\n"
    assert [line.split(": ")[:2] for line in faults(text)] == [
        ["2", "secret_keys[0]"],
        ["8", "providers.corporate.audiences"],
        ["10", "providers.corporate.client_secrt"],
        ["13", "routes[0].upstream"],
        ["14", "lisen"],
        ["15", "session.idle_lifetime"],
        ["16", "prefix"],
    ]


def test_the_checks_go_on_behind_a_fault():
    """A misspelt key hides neither an unknown upstream nor a bad listener elsewhere."""
    text = (
        MINIMAL.replace("upstream: app,", "upstream: ap,")
        + "lisen: x\nadmin: {listen: nowhere}\nlimits: {head: 1}\n"
    )
    assert [line.partition(" - ")[0].split(": ")[:2] for line in faults(text)] == [
        ["11", "routes[0].upstream"],
        ["12", "lisen"],
        ["13", "admin.listen"],
        ["14", "limits.head"],
    ]


def test_a_fault_has_no_false_echo():
    """What merely follows from a fault in the same section is not told."""
    text = MINIMAL.replace("    client_secret: ${env:SECRET}", "    client_auth: nope")
    assert [line.split(": ")[1] for line in faults(text)] == ["providers.corporate.client_auth"]
    text = MINIMAL.replace("access: required", "access: required, require: {claims: {a: {b: 1}}}")
    assert [line.split(": ")[1] for line in faults(text)] == ["routes[0].require.claims.a.b"]
    text = MINIMAL.replace("access: required", "access: required, require: {scopes: [5]}")
    assert [line.split(": ")[1] for line in faults(text)] == ["routes[0].require.scopes[0]"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("audiences", "audience", "did you mean audiences?"),
        ("public_url", "publik_url", "did you mean public_url?"),
        ("access: required", "access: required, prefligth: refuse", "did you mean preflight?"),
        (
            "access: required",
            "access: required, preflight: {origins: ['https://a'], credential: true}",
            "did you mean credentials?",
        ),
        ("client_id: app", "client_id: app\n    idle_lifetime: 5m", "a setting of session"),
        ("client_id: app", "client_id: 12345", "in quotes"),
        ("client_id: app", "client_id: yes", None),
        ("client_id: app", "client_id: true", "in quotes"),
        ("client_id: app", "client_id:", "in quotes"),
        ("audiences: [api]", "audiences: api", "write a list"),
        ("access: required", "access: require", "'public', 'optional' or 'required'"),
        ("path: /,", "path: /, max_body: 1.5,", "whole number"),
        ("path: /,", "path: /, max_body: -1,", "at least 0"),
        ("path: /,", "path: /, preflight: allow,", "'refuse' or 'forward'"),
        ("upstreams:", "admin:\nupstreams:", "a section of settings"),
        ("upstreams:", "redis:\nupstreams:", None),
        ("upstreams:", "log: {access: maybe}\nupstreams:", "true or false"),
        ("upstreams:", "denylist: {max_staleness: true}\nupstreams:", "60s"),
        ("upstreams:", "listen: [a]\nupstreams:", "write an address and a port"),
        ("upstreams:", "state_dir: [a]\nupstreams:", "write a text"),
        ("upstreams:", "limits: [a]\nupstreams:", "a section of settings"),
    ],
)
def test_advice(old, new, fault):
    """Every refusal says what to write instead; the line is the one where it stands."""
    text = MINIMAL.replace(old, new, 1)
    if fault is None:
        read(text)
        return
    found = faults(text)
    assert any(fault in line for line in found), found
    assert all(line[0].isdigit() for line in found)


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
        ("- a\n", 1, "not a mapping"),
        ("just text", 1, "not a mapping"),
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("a: b: c\n", 1, "colon"),
        ("a: 1\n b: 2\n", 2, "colon where none can be"),
        ("a: [1, 2\nb: 3\n", 2, "bracket"),
        ("a: 'x\n", 2, "quote"),
        ("a: *x\n", 1, "alias"),
        ("a: @x\n", 1, "quotes"),
        ('a: "\\q"\n', 1, "backslash"),
        ("a: 1\n---\nb: 2\n", 2, "one document"),
        ("a: 1\na: 2\n", 2, "twice"),
        ("x:\n  a: 1\n  a: 2\n", 3, "twice"),
        ("a: !!python/object/apply:os.system ['id']\n", 1, "tags"),
        ("a: !env X\n", 1, "tags"),
        ("a: !!binary aGk=\n", 1, "tags"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", 2, "merge"),
        ("a: &x [*x]\n", 1, "alias"),
        ("5: x\n", 1, "key"),
        ("[a]: x\n", 1, "key"),
        ("a: " + "[" * 5000 + "\n", 1, "nested"),
        ("a: " + "9" * 5000 + "\n", 1, "number"),
        ("a: 1e999\n", 1, "number"),
        ('a: "\\U00110000"\n', None, "YAML"),
        ('a: "\\ud800"\n', 1, "control"),
        ('a: "x\\0y"\n', 1, "control"),
        ("a: |\n  x\n  y\n", 1, "control"),
        (b"a: \xff\n", 1, "UTF-8"),
        (b"b: 1\na: \x00\n", 2, "control"),
        ("\ufeffa: 1\na: 2", 2, "twice"),
        ("x" * (1 << 18), None, "larger"),
        ("x" * ((1 << 18) + 1), None, "larger"),
    ],
)
def test_what_is_no_yaml(text, line, fault):
    """Malformed files are explained, with the line, and never loaded in part."""
    if fault == "larger" and len(text) == 1 << 18:
        fault, line = "mapping", 1
    found = faults(text)
    assert any(fault in each for each in found), found
    if line is not None:
        assert any(each.startswith(f"{line}: ") for each in found), found


def test_billion_laughs():
    """Aliases multiply within a bound."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert any("too much" in line for line in faults("\n".join(lines)))


def test_aliases_work():
    """An anchor is written once and used often; its line is that of its anchor or use."""
    text = MINIMAL.replace("[api]", "&names [api]").replace("client_id", "scopes: *names\n    client_id")
    assert any("alias" in line for line in faults(text))
    text = MINIMAL.replace("[api]", "&names [api]\n    scopes: *names")
    assert read(text).settings.providers["corporate"].scopes == ("api",)


def test_yaml_1_2():
    """``no``, ``on`` and leading zeros are what they look like."""
    text = MINIMAL.replace("[api]", "[no, on, y, 1_000, 0x10, 12:30, 2026-01-01]")
    assert read(text).settings.providers["corporate"].audiences[0] == "no"
    text = MINIMAL.replace("access: required", "access: required, max_body: 010")
    assert read(text).settings.routes[0].max_body == 10


def test_the_specified_spelling_within_brackets():
    """References without quotes are fine within brackets and braces as well."""
    text = (
        MINIMAL.replace('["${env:KEY}"]', "[${env:KEY}]")
        + "admin: {token: ${env:TOKEN}, listen: '[::1]:1'}\n"
    )
    settings = read(text, TOKEN="0123456789abcdef").settings
    assert settings.secret_keys[0].get_secret_value() == KEY
    assert settings.admin.token.get_secret_value() == "0123456789abcdef"


def test_references(tmp_path):
    """Whole or embedded, from variables and files; one newline at the end is dropped; ``$${`` is literal."""
    (tmp_path / "secret").write_text("from-file\n")
    for written, expected in {
        "${env:SECRET}": "hunter2-hunter2",
        "a-${env:SECRET}-${env:SECRET}": "a-hunter2-hunter2-hunter2-hunter2",
        "${file:secret}": "from-file",
        f"${{file:{tmp_path}/secret}}": "from-file",
        "$${env:SECRET}": "${env:SECRET}",
        "$${x": "${x",
        "$x $ {}": "$x $ {}",
        "${env:NESTED}": "${env:SECRET}",
    }.items():
        settings = read(
            MINIMAL.replace("${env:SECRET}", f"'{written}'"), tmp_path, NESTED="${env:SECRET}"
        ).settings
        assert settings.providers["corporate"].client_secret.get_secret_value() == expected
    (tmp_path / "secret").write_bytes(b"from-file\r\n")
    assert read(MINIMAL.replace("${env:SECRET}", "${file:secret}"), tmp_path)


def test_references_that_lead_nowhere(tmp_path):
    """Each is an error at its line, and no value is told."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    (tmp_path / "large").write_text("hunter2" * 10000)
    (tmp_path / "lines").write_text("hunter2\n\n")
    os.mkfifo(tmp_path / "pipe")
    for written, fault in {
        "${env:NOPE}": "NOPE is not set",
        "${env:EMPTY}": "EMPTY is empty",
        "${env:}": "letters",
        "${env:A B}": "letters",
        "${file:}": "path",
        "${file:nope}": "No such file",
        "${file:.}": "no regular file",
        "${file:pipe}": "no regular file",
        "${file:empty}": "is empty",
        "${file:binary}": "UTF-8",
        "${file:large}": "more than",
        "${file:lines}": "line break",
        "${env:LINES}": "line break",
        "${SECRET}": "${env:NAME}",
        "${env:SECRET": "${env:NAME}",
        "${vault:x}": "${env:NAME}",
    }.items():
        text = MINIMAL.replace("${env:SECRET}", f"'{written}'")
        found = faults(text, tmp_path, EMPTY="", LINES="hunter2\nx")
        assert len(found) == 1
        assert found[0].startswith("7: providers.corporate.client_secret: ")
        assert fault in found[0]


def test_secrets_are_never_told():
    """R16: whatever is wrong about a secret, its value is not in the message."""
    for text in (
        MINIMAL.replace('["${env:KEY}"]', '["${env:SECRET}"]'),
        MINIMAL.replace('["${env:KEY}"]', "hunter2"),
        MINIMAL.replace('["${env:KEY}"]', "{hunter2: hunter2}"),
        MINIMAL.replace("${env:SECRET}", "[hunter2]"),
        MINIMAL.replace("${env:SECRET}", "{hunter2 hunter2:x}"),
        MINIMAL.replace("${env:SECRET}", "*hunter2"),
        MINIMAL.replace("${env:SECRET}", '"hunter2\\q"'),
        MINIMAL.replace("${env:SECRET}", "hunter2: x"),
        MINIMAL + "admin: {token: hunter2}\nredis: {url: hunter2}\n",
    ):
        assert faults(text)


def test_ca_files(tmp_path):
    """A file of authorities starts from the configuration's directory, and must hold certificates."""
    (tmp_path / "none.pem").write_text("hunter2")
    for name, fault in (("none.pem", "no certificate"), ("nope.pem", "cannot be read")):
        found = faults(MINIMAL.replace("client_id", f"ca_file: {name}\n    client_id"), tmp_path)
        assert fault in found[0]
        assert found[0].startswith("6: providers.corporate.ca_file")
    found = faults(MINIMAL.replace("{servers:", "{tls: {ca_file: none.pem}, servers:"), tmp_path)
    assert "upstreams.app.tls.ca_file" in found[0]


def test_the_file_itself(tmp_path):
    """A file that is not there, or is none, is one clear line."""
    for path in (tmp_path / "nope.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            load_settings(path)
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(ConfigurationError):
        load_settings(Path("a\0b"))


def test_many_problems_are_cut():
    """A list of problems stays readable."""
    with pytest.raises(ConfigurationError) as caught:
        read("\n".join(f"key{n}: 1" for n in range(300)))
    assert len(caught.value.problems) > 300
    assert "more" in str(caught.value).splitlines()[-1]
    assert show("x", []) == ""


def test_warnings_have_lines(tmp_path):
    """A warning is shown as a problem is."""
    path = tmp_path / "gateway.yaml"
    path.write_text(MINIMAL + "admin: {listen: 0.0.0.0:9090}\n")
    loaded = load(path, ENVIRONMENT)
    assert [(each.line, each.path) for each in loaded.warnings] == [(12, ("admin", "listen"))]


@pytest.mark.parametrize("name", READY)
def test_ready_configurations(name, tmp_path):
    """Each ready configuration loads without a warning, and any YAML parser and the JSON Schema accept it."""
    path = with_secrets(TREE / name, tmp_path)
    loaded = load(path, environment())
    assert loaded.warnings == []
    plain = yaml.safe_load((TREE / name).read_text())
    jsonschema.Draft202012Validator(schema()).validate(plain)


def test_the_schema_refuses_what_the_loader_refuses():
    """An editor with the schema underlines misspelt keys and bad durations."""
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    good = yaml.safe_load(MINIMAL)
    assert validator.is_valid(good)
    for change in (
        {"lisen": "x"},
        {"session": {"idle_lifetime": "8 hours"}},
        {"routes": []},
        {"routes": [{"path": "/", "upstream": "app", "access": "nope"}]},
        {"secret_keys": [""]},
        {"public_url": []},
    ):
        assert not validator.is_valid(good | change)
    assert "description" in json.dumps(schema()["properties"]["secret_keys"])


def test_minimal_is_minimal():
    """The ten lines of the README are ten."""
    lines = (TREE / "config/minimal.yaml").read_text().splitlines()
    assert len(lines) <= 11


def test_the_reference_shows_every_setting():
    """config/gateway.yaml names every setting, and its defaults are the models' own."""
    text = (TREE / "config/gateway.yaml").read_text()
    for path, model in sections():
        for name in written_names(model):
            assert f"{name}:" in text, (*path, name)


def test_the_schema_describes_every_setting():
    """Editors show the text below each setting; pydantic does not collect it, so this one module must."""
    written = schema()
    for path, model in sections():
        section = written["$defs"][model.__name__] if path else written
        for name, shown in section["properties"].items():
            of_section = written["$defs"].get(shown.get("$ref", "").rpartition("/")[2], {})
            assert shown.get("description") or of_section["description"], (*path, name)
    limits = written["$defs"]["RateLimitSettings"]["properties"]
    assert limits["by"]["description"].startswith("Whose requests count together; ")


def test_the_schema_can_be_had_without_sources(monkeypatch):
    """Where only compiled modules are installed, the descriptions are absent and nothing fails."""

    def absent(_):
        raise OSError

    monkeypatch.setattr("inspect.getsource", absent)
    assert "description" not in schema()["properties"]["listen"]


def test_every_setting_is_documented():
    """docs/configuration.md has exactly the settings that there are, each with its default."""
    documented = rows(DOCS.read_text())
    settings = {
        ".".join((*path, name)): model.model_fields[attribute]
        for path, model in sections()
        for name, attribute in written_names(model).items()
    }
    assert set(documented) == set(settings)
    for name, field in settings.items():
        default = field.get_default(call_default_factory=True)
        told = documented[name]
        if field.is_required():
            assert told == "required", name
        elif default is None:
            assert told == "-", name
        elif isinstance(default, float):
            shown = told.strip("`")
            # a share has no unit
            assert (float(shown) if shown[-1].isdigit() else parse_duration(shown)) == default, name
        elif isinstance(default, tuple):
            assert told == f"`[{', '.join(default)}]`", name
        elif isinstance(default, bool):
            assert told == f"`{str(default).lower()}`", name
        elif default == "":
            # what another setting may make unnecessary; else a check asks for it
            assert told == "-", name
        elif isinstance(default, str | int):
            assert told == f"`{default}`", name
        elif not default:
            assert told == "`{}`", name


def test_documented_identity_headers():
    """The default identity headers are told where the table says so."""
    text = " ".join(DOCS.read_text().split())
    for name, claim in (
        Settings.model_fields["identity_headers"].get_default(call_default_factory=True).items()
    ):
        assert f"`{name}: {claim}`" in text
