"""What the demo prepares before it starts, and what it tells while it runs."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from gateway.demo.narrator import Narrator, tell
from gateway.demo.workspace import PORTS, DemoError, choose_ports, prepare, render, template
from gateway.edge.configfile.load import load, load_settings
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_configuration_is_the_documented_one() -> None:
    """config/demo.yaml and the demo's own copy have the same text."""
    assert (ROOT / "config" / "demo.yaml").read_text(encoding="utf-8") == template()


def test_the_documented_configuration_loads(tmp_path: Path) -> None:
    """Beside a .demo directory config/demo.yaml is good as it stands, and without a warning."""
    prepare(tmp_path / ".demo", PORTS)
    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "demo.yaml"
    config.write_text(template())
    loaded = load(config)
    assert loaded.warnings == []
    settings = loaded.settings
    assert settings.public_url == ("http://localhost:8080",)
    assert settings.redis is None
    routes = {route.path: route for route in settings.routes}
    assert (routes["/public/"].access, routes["/"].unauthenticated) == ("public", "login")
    assert (routes["/api/"].unauthenticated, routes["/api/"].require.scopes) == ("reject", ("api",))
    assert routes["/admin/"].require.groups == ("admins",)
    assert (settings.admin.console, settings.session.index, routes["/admin/"].audit) != (None, False, False)


def test_ports_and_directory_are_put_in(tmp_path: Path) -> None:
    """Other ports are everywhere, in addresses as in comments; the directory is absolute."""
    ports = {"--port": 1080, "--admin-port": 1090, "--provider-port": 1081, "--upstream-port": 1082}
    directory = tmp_path / 'a "b": ${env:HOME} #'
    settings = load_settings(prepare(directory, ports))
    assert settings.public_url == ("http://localhost:1080",)
    assert (settings.listen, settings.admin.listen) == ("127.0.0.1:1080", "127.0.0.1:1090")
    assert settings.providers["demo"].issuer == "http://127.0.0.1:1081"
    assert settings.upstreams["app"].servers == ("http://127.0.0.1:1082",)
    assert settings.state_dir == str(directory)
    text = render(directory, ports)
    assert not any(f":{default}" in text for default in PORTS.values())


def test_ports_that_trade_places_do_not_mix(tmp_path: Path) -> None:
    """The replacement is simultaneous: 8080 and 8081 can be exchanged."""
    ports = {**PORTS, "--port": 8081, "--provider-port": 8080}
    settings = load_settings(prepare(tmp_path, ports))
    assert (settings.listen, settings.providers["demo"].issuer) == ("127.0.0.1:8081", "http://127.0.0.1:8080")


def test_secrets_are_made_once_and_are_ours_alone(tmp_path: Path) -> None:
    """0600, drawn at the first start, kept at the next, mended when empty or open to others."""
    directory = tmp_path / ".demo"
    first = load_settings(prepare(directory, PORTS))
    for name in ("admin-token", "secret-key"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
        (directory / name).chmod(0o644)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert load_settings(prepare(directory, PORTS)) == first
    for name in ("admin-token", "secret-key"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    (directory / "secret-key").write_text("")
    assert load_settings(prepare(directory, PORTS)).secret_keys != first.secret_keys
    assert load_settings(prepare(tmp_path / "other", PORTS)).admin != first.admin


def test_a_planted_secret_is_refused(tmp_path: Path) -> None:
    """A symbolic link in a secret's place is not followed."""
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "admin-token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DemoError, match="admin-token"):
        prepare(tmp_path, PORTS)


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    """A file in the directory's place is an error that names the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match="--state-dir"):
        prepare(tmp_path / "file", PORTS)


def test_a_taken_port_names_its_option() -> None:
    """The error says which port and which option; the same port twice is taken too; 0 is any."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(DemoError, match=f"port {taken} is taken.*--admin-port"):
            choose_ports({"--port": 0, "--admin-port": taken})
    chosen = choose_ports(dict.fromkeys(PORTS, 0))
    assert len(set(chosen.values())) == 4
    named = {option: free_port() for option in PORTS}
    assert choose_ports(named) == named
    with pytest.raises(DemoError, match="--upstream-port"):
        choose_ports({"--port": chosen["--port"], "--upstream-port": chosen["--port"]})
    for wrong in (-1, 65536):
        with pytest.raises(DemoError, match="--port"):
            choose_ports({"--port": wrong})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may take any port")
def test_a_privileged_port_names_its_option() -> None:
    """Ports that only root may take are told like taken ones."""
    with pytest.raises(DemoError, match="--port"):
        choose_ports({"--port": 1})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"event": "login", "subject": "alice", "reason": "login_completed"}, "login      alice"),
        ({"event": "logout", "subject": "alice"}, "logout     alice"),
        ({"event": "login", "reason": "token_nonce"}, "no login   token_nonce"),
        ({"event": "refresh", "subject": "a", "generation": 1}, "refresh    a: new tokens, for the 1st time"),
        (
            {"event": "refresh", "subject": "a", "generation": 12},
            "refresh    a: new tokens, for the 12th time",
        ),
        ({"event": "refresh", "subject": "a"}, "refresh    a: new tokens, for the next time"),
        (
            {"event": "revocation", "kind": "sub", "value": "alice"},
            "revoked    sub alice: what was issued until now is refused",
        ),
        (
            {"event": "revocation", "kind": "all"},
            "revoked    everybody: what was issued until now is refused",
        ),
        (
            {
                "event": "request",
                "decision": "refuse",
                "method": "GET",
                "path": "/x",
                "status": 401,
                "reason": "revoked",
            },
            "refused    GET /x: 401 revoked",
        ),
        ({"event": "request", "decision": "forward", "method": "GET", "path": "/x", "status": 200}, None),
        ({"event": "refusal", "reason": "revoked"}, None),
        ({"event": "message", "message": "started"}, None),
        ({"event": "error", "message": "fault", "detail": "no answer"}, "error      fault: no answer"),
        ({}, None),
    ],
)
def test_a_sentence_for_each_interesting_event(fields: dict[str, object], sentence: str | None) -> None:
    """Short and human; what is not interesting is not told."""
    assert tell(fields) == sentence


def test_a_terminal_obeys_nothing_from_outside() -> None:
    """Control characters in a path are shown as question marks, and a line is bounded."""
    fields = {"event": "request", "decision": "refuse", "path": "/\x1b[2J\r\n" + "x" * 9000}
    sentence = tell(fields)
    assert sentence is not None
    assert sentence.isprintable()
    assert len(sentence) <= 300


def test_repetition_is_counted() -> None:
    """The same sentence again and again is one line and a number."""
    lines: list[str] = []
    narrator = Narrator(lines.append)
    for subject in ("alice", "alice", "alice", "bob", "alice"):
        narrator(json.dumps({"event": "login", "subject": subject, "reason": "login_completed"}))
    narrator.flush()
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "alice",
        "... and 2 more of these",
        "bob",
        "alice",
    ]
