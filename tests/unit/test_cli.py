"""The command: what it prints, where, and with which exit code."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qsl

import pytest

from gateway import __version__
from gateway.cli import main as cli
from gateway.cli.admin_client import AdminError, target_at, target_of
from gateway.cli.admin_tls import Trust
from gateway.cli.explain import build_request, explain
from gateway.config.settings.root import Settings
from tests.support import pure
from tests.support.client_keys import pem
from tests.support.configuration import KEY, TREE, environment

TOKEN = "admin-token-0123456789"
CONFIG = """\
public_url: [https://app.example.com, "http://localhost:8080"]
admin: {listen: "127.0.0.1:PORT", token: "${env:ADMIN_TOKEN}"}
secret_keys: ["${env:GATEWAY_SECRET_KEY}"]
providers:
  corporate:
    issuer: https://login.example.com
    client_id: app
    client_secret: ${env:GATEWAY_CLIENT_SECRET}
    audiences: [api]
upstreams: {app: {servers: ["http://127.0.0.1:3000"]}}
routes:
  - {path: /public/, upstream: app, access: public}
  - {path: /api/, name: api, upstream: app, access: required, unauthenticated: reject, authorization: pass}
  - {path: /, upstream: app, access: required, unauthenticated: login}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A good configuration, its variables, and a working directory without any."""
    for name, value in {**environment(), "ADMIN_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "good.yaml"
    path.write_text(CONFIG.replace("PORT", "9090"))
    return path


# an id of ours, as likely as any other
HYPHENATED = "-" + "aB3_" * 10 + "x-"


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = cli.main(words)
    told = capsys.readouterr()
    assert KEY not in told.out + told.err
    assert TOKEN not in told.out + told.err
    assert "Traceback" not in told.err
    return code, told.out, told.err


def test_r71_check_says_what_to_register(capsys, config):
    """R71 [1.9]: by provider: its own callback at every public_url, and where logouts come back to."""
    partner = """\
  partner:
    issuer: https://partner.example.com
    client_id: app
    client_secret: ${env:GATEWAY_CLIENT_SECRET}
    audiences: [api]
upstreams:"""
    config.write_text(config.read_text().replace("upstreams:", partner))
    code, out, err = run(capsys, "check", "--config", str(config))
    assert code == 0
    both = "https://app.example.com/.gateway/{0} http://localhost:8080/.gateway/{0}"
    logouts = both.format("logged-out")
    assert out.splitlines()[1:] == [
        f"register at provider corporate: {both.format('callback')} {logouts}",
        f"register at provider partner: {both.format('callback/partner')} {logouts}",
    ]
    assert "providers.partner.callback" in err
    assert "identity_headers" in err


def test_check_tells_where_the_keys_are(capsys, config):
    """[11.5]: the jwks_uri to register, for each provider that the gateway signs for."""
    (config.parent / "client.pem").write_text(pem())
    lines = "\n".join(f"        {line}" for line in pem("RS").splitlines())
    signed = "    client_auth: private_key_jwt\n    signing_keys:\n"
    signed += f'      - "${{file:client.pem}}"\n      - |\n{lines}\n'
    config.write_text(config.read_text().replace("    client_secret: ${env:GATEWAY_CLIENT_SECRET}\n", signed))
    code, out, err = run(capsys, "check", "--config", str(config))
    assert (code, err) == (0, "")
    told = "jwks_uri for provider corporate: https://app.example.com/.gateway/jwks/corporate"
    assert out.splitlines()[-1] == told
    assert "PRIVATE" not in out


def test_check(capsys, config):
    """Good is 0, with a word; warnings and problems go to standard error."""
    code, out, err = run(capsys, "check", "--config", str(config))
    assert (code, err) == (0, "")
    assert out.startswith(f"{config}: good\nregister at provider ")
    config.write_text(
        CONFIG.replace("127.0.0.1:PORT", "0.0.0.0:9090").replace(', token: "${env:ADMIN_TOKEN}"', "")
    )
    code, out, err = run(capsys, "check", "--config", str(config))
    assert code == 0
    assert out.startswith(f"{config}: good, with 1 warning\n")
    assert err.startswith(f"{config}:2: admin.listen: ")
    config.write_text(CONFIG.replace("PORT", "9090").replace("path", "paht"))
    code, out, err = run(capsys, "check", "--config", str(config))
    assert (code, out) == (1, "")
    assert f"{config}:12: routes[0].paht: unknown setting - did you mean path?" in err.splitlines()


def test_where_the_configuration_is(capsys, config, tmp_path, monkeypatch):
    """``--config``, then ``$GATEWAY_CONFIG``, then the two usual places; without any a clear line."""
    code, _, err = run(capsys, "check")
    assert code == 1
    assert "--config" in err
    (tmp_path / "config").mkdir()
    (tmp_path / "config/gateway.yaml").write_text("a: 1")
    assert "config/gateway.yaml" in run(capsys, "check")[2]
    (tmp_path / "gateway.yaml").write_text("a: 1")
    assert run(capsys, "check")[2].startswith("gateway.yaml:")
    monkeypatch.setenv("GATEWAY_CONFIG", str(config))
    assert run(capsys, "check")[0] == 0
    assert run(capsys, "check", "--config", "nope.yaml")[2].startswith("nope.yaml: ")


def test_schema(capsys):
    """The schema is JSON, for a machine."""
    code, out, _ = run(capsys, "schema")
    assert code == 0
    assert json.loads(out)["properties"]["routes"]


def test_keys_generate(capsys):
    """A new key each time: 32 bytes in base64."""
    keys = {run(capsys, "keys", "generate")[1] for _ in range(3)}
    assert len(keys) == 3
    assert all(len(base64.b64decode(key, validate=False)) == 32 for key in keys)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nope"],
        ["run", "--nope"],
        ["revoke"],
        ["revoke", "--sub", "a", "--all"],
        ["revoke", "--sub", "a", "--before", "soon"],
        ["revoke", "--sub", "a", "--before", "nan"],
        ["explain"],
        ["keys"],
    ],
)
def test_usage(words):
    """A wrong command line is exit code 2."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["revoke", "--help"]])
def test_help(words, capsys):
    """Help and version go to standard output."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(("usage: gateway", f"gateway {__version__}"))


def test_every_command_is_documented():
    """docs/cli.md has a section for each command."""
    text = (TREE / "docs/cli.md").read_text()
    parser = cli._parser([])
    commands = next(action for action in parser._actions if action.metavar == "COMMAND").choices
    for name, command in commands.items():
        assert f"## {name}" in text
        for action in command._actions:
            if action.option_strings and "--help" not in action.option_strings and name != "demo":
                assert action.option_strings[0] in text, (name, action.option_strings)


def test_light_commands_import_little():
    """``--version`` and ``keys generate`` start without pydantic, aiohttp, cryptography."""
    code = (
        "import sys; from gateway.cli import main as cli; cli.main(['keys', 'generate']);"
        "print(*(m for m in ('pydantic', 'aiohttp', 'cryptography', 'yaml', 'redis') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TREE)
    assert done.stdout.splitlines()[1] == ""


def settings_of(**more) -> Settings:
    from gateway.edge.configfile.load import parse

    env = {**environment(), "ADMIN_TOKEN": TOKEN}
    return parse(CONFIG.replace("PORT", str(more.get("port", 9090))).encode(), "x", TREE, env).settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "/public/x?y=1",
            ["route:    /public/ (access: public)", "decision: forward", "target:   /public/x?y=..."],
        ),
        (
            "https://app.example.com/api/x",
            ["route:    api (access: required)", "reason:   credentials_missing"],
        ),
        ("https://app.example.com/", ["decision: login", "then to:  /"]),
        ("https://app.example.com", ["request:  GET / at app.example.com"]),
        ("https://other.example.com/", ["reason:   host_unknown", "status:   421"]),
        ("/public/%2e%2e/api/x", ["reason:   path_ambiguous", "status:   400"]),
        ("/public//x", ["reason:   path_ambiguous"]),
        ("http://localhost:8080/public/", ["request:  GET /public/ at localhost:8080", "upstream: app"]),
        ("https://user@app.example.com/", ["decision: refuse"]),
    ],
)
def test_explain(url, expected):
    """R56: the decision on a hypothetical request, its target as it was written."""
    lines = explain(settings_of(), url, "GET", [])
    for each in expected:
        assert each in lines, lines


def test_explain_what_balancers_are_told():
    """[3.8]: no route is asked there, and the decision is not what a balancer gets."""
    asked = settings_of().model_copy(update={"health_path": "/healthz"})
    told = explain(asked, "http://10.0.0.1/healthz?x", "HEAD", [])
    assert told[1] == "decision: none"
    assert "health_path" in told[2]
    for url, method in (("/healthz", "POST"), ("/healthz/x", "GET")):
        assert "decision: none" not in explain(asked, url, method, [])


def test_explain_behind_a_proxy():
    """[1.1]: the question is a client's own, whatever proxies on this machine are trusted to tell."""
    told = {"trusted_proxies": ["127.0.0.1"], "forwarding": {"host": "X-Forwarded-Host"}}
    configured = pure.settings({"path": "/", "access": "public"}, **told)
    lines = explain(configured, "https://app.example.com/x", "GET", ["X-Forwarded-Host: evil.example"])
    assert "decision: forward" in lines


def test_explain_headers():
    """Forged identity headers are gone, what may be a secret is hidden, a navigation goes to login."""
    fields = ["X_Forwarded_User: mallory", "X-Other: ü", "Cookie: a=hunter2", "User-Agent: mine"]
    text = "\n".join(explain(settings_of(), "/public/x", "POST", fields))
    assert "mallory" not in text
    assert "hunter2" not in text
    assert "X-Other: (as sent)" in text
    assert "User-Agent: mine" in text
    navigation = ["Accept: text/html", "Sec-Fetch-Mode: navigate"]
    lines = explain(settings_of(), "/page", "GET", navigation)
    assert "decision: login" in lines
    assert "provider: corporate" in lines
    assert "redirect: https://app.example.com/.gateway/callback" in lines


@pytest.mark.parametrize(
    ("url", "method", "told"),
    [
        (
            "/Admin/x",
            "GET",
            {
                "/admin/": "in another spelling",
                "/api": "other paths",
                "/": "another route's",
                "/x": "other hosts",
            },
        ),
        ("/admin/x", "GET", {"/api": "other paths", "/": "a shorter path than /admin/", "/x": "other hosts"}),
        ("/api/x", "GET", {"/admin/": "other paths", "/api": "other methods", "/x": "other hosts"}),
        ("/api/x", "POST", {"/admin/": "other paths", "/": "a shorter path than /api", "/x": "other hosts"}),
        ("https://other.example.com/x", "GET", {"/admin/": "other paths", "/": "a shorter path than /x"}),
        ("https://nowhere.example/", "GET", {}),
        ("/.gateway/login", "GET", {}),
        ("/a%2Fb", "GET", {}),
    ],
)
def test_explain_says_why_not(url, method, told):
    """[4.10]: of each route that a request did not match, ``explain`` says what keeps it away."""
    configured = pure.settings(
        {"path": "/admin/"},
        {"path": "/api", "methods": ["POST"]},
        {"path": "/", "access": "public"},
        {"path": "/x", "hosts": ["other.example.com"], "access": "public"},
    )
    lines = explain(configured, url, method, [])
    found = lines[lines.index("not on:") + 1 :] if "not on:" in lines else []
    by_route = {line.split()[0]: line for line in found}
    assert all(words in by_route[name] for name, words in told.items())
    assert ("not on:" in lines) == bool(told)


@pytest.mark.parametrize(
    ("url", "method", "fields", "reason"),
    [
        ("/x", "FOO", [], "method_unknown"),
        ("/x", "get", [], "method_unknown"),
        ("/x", "TRACE", [], "method_unsupported"),
        ("/a|b", "GET", [], "request_malformed"),
        ("/x", "GET", ["Host: intern.test"], "host_invalid"),
        ("/x", "POST", ["Content-Length: 1", "Transfer-Encoding: chunked"], "request_malformed"),
        ("http://a:99999/x", "GET", [], "host_invalid"),
    ],
)
def test_explain_refuses_what_the_listener_refuses(url, method, fields, reason):
    """[3.6]: what is refused before any decision is explained as that, not as if it had been let in."""
    configured = settings_of()
    lines = explain(configured, url, method, fields)
    assert lines[1:3] == ["decision: refuse", f"reason:   {reason}"]
    extra = configured.model_copy(update={"extra_methods": ("FOO",)})
    assert (f"reason:   {reason}" in explain(extra, url, method, fields)) == (method != "FOO")


def test_explain_names_the_need():
    """A bearer token cannot be judged without keys: the fact is named, the token not shown."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    token = f"{part({'alg': 'RS256', 'kid': 'k'})}.{part({'iss': 'https://login.example.com'})}.c2ln"
    lines = explain(settings_of(), "/api/x", "GET", [f"Authorization: Bearer {token}"])
    assert "decision: not yet" in lines
    assert any("keys of provider corporate" in line for line in lines)
    assert token not in "\n".join(lines)


@pytest.mark.parametrize(
    ("url", "method", "fields"),
    [
        ("", "GET", []),
        ("app.example.com/", "GET", []),
        ("ftp://app.example.com/", "GET", []),
        ("https:///x", "GET", []),
        ("https://app.example.com/a b", "GET", []),
        ("https://app.example.com/ü", "GET", []),
        ("/\r\nX: y", "GET", []),
        ("/", "G T", []),
        ("/", "", []),
        ("/", "GET", ["no colon"]),
        ("/", "GET", [": x"]),
        ("/", "GET", ["A b: x"]),
        ("/", "GET", ["A: x\r\nB: y"]),
    ],
)
def test_explain_refuses_what_no_client_sends(url, method, fields, capsys, config):
    """What is no request is a clear line and exit code 1."""
    with pytest.raises(ValueError, match=r"URL|--method|--header"):
        build_request(settings_of(), url, method, fields)
    words = [
        "explain",
        "--config",
        str(config),
        f"--method={method}",
        *(f"--header={each}" for each in fields),
    ]
    code, out, err = run(capsys, *words, "--", url)
    assert (code, out) == (1, "")
    assert err.startswith("gateway: ")


def test_explain_prints(capsys, config):
    """The command prints what the function says, and is 0 whatever was decided."""
    code, out, err = run(capsys, "explain", "--config", str(config), "/api/x", "--header", "Accept: */*")
    assert (code, err) == (0, "")
    assert out.splitlines() == explain(settings_of(), "/api/x", "GET", ["Accept: */*"])


@contextmanager
def admin(status: int, answer: bytes):
    """A listener on the loopback that answers every POST so; yields its port and what it was sent."""
    seen: list[tuple[str, str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            seen.append((self.path, self.headers["Authorization"], body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_DELETE = do_POST  # noqa: N815 - the library's name

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_port, seen
        finally:
            server.shutdown()
            thread.join()


UNTOLD = "sessions ended: cannot be told, where browsers keep them or the store is slow"


def revoking(capsys, config, answer: bytes, *words: str, status: int = 200):
    with admin(status, answer) as (port, seen):
        config.write_text(CONFIG.replace("PORT", str(port)))
        return *run(capsys, "revoke", "--config", str(config), *words), seen


def test_revoke(capsys, config):
    """The entry goes to the admin listener with its token; who acknowledged is told."""
    answer = b'{"acknowledged": ["a:1", "b:2"], "missing": []}'
    code, out, err, seen = revoking(capsys, config, answer, "--sub", "alice", "--provider", "corporate")
    assert (code, err) == (0, "")
    assert out == f"acknowledged: a:1\nacknowledged: b:2\n{UNTOLD}\n"
    [(path, authorization, body)] = seen
    assert path == "/revoke"
    assert authorization == f"Bearer {TOKEN}"
    document = json.loads(body)
    assert "@" in document.pop("actor")
    assert document == {"sub": "alice", "provider": "corporate"}


@pytest.mark.parametrize(
    ("words", "entry"),
    [
        (["--all"], {"all": True}),
        (["--jti", "x"], {"jti": "x"}),
        (["--sid", "x"], {"sid": "x"}),
        (["--session", "x"], {"session": "x"}),
        (["--sub", "x", "--before", "1767225600"], {"sub": "x", "before": 1767225600.0}),
        (["--sub", "x", "--before", "2026-01-01T00:00:00Z"], {"sub": "x", "before": 1767225600.0}),
        (["--sub", "x", "--before", "2026-01-01"], {"sub": "x", "before": 1767225600.0}),
        (["--sub", "x", "--before", "2026-01-01T01:00+01:00"], {"sub": "x", "before": 1767225600.0}),
    ],
)
def test_revoke_entries(capsys, config, words, entry):
    """R44: each kind of entry, and moments with or without a time zone."""
    *_, seen = revoking(capsys, config, b'{"acknowledged": ["a"], "missing": []}', *words)
    document = json.loads(seen[0][2])
    del document["actor"]
    assert document == entry


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (200, b'{"acknowledged": ["a"], "missing": ["b:2"]}', "not acknowledged: b:2"),
        (200, b"{}", "no gateway"),
        (200, b"<html>", "no gateway"),
        (200, b"[" * 5000, "no gateway"),
        (200, b'{"acknowledged": "a", "missing": 5}', "no gateway"),
        (401, b"{}", "another admin.token"),
        (400, b'{"detail": "There are several providers."}', "several providers"),
        (400, b'{"detail": "a\\u001b[31mb"}', "a?[31mb"),
        (503, b"\xff", "503"),
    ],
)
def test_revoke_that_fails(capsys, config, status, answer, told):
    """A worker that is missing, a refusal, or a stranger at that port: exit code 1 and one clear line."""
    code, _, err, _ = revoking(capsys, config, answer, "--sub", "alice", status=status)
    assert code == 1
    assert told in err


def test_revoke_without_a_gateway(capsys, config):
    """Nothing listens: the error says so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        config.write_text(CONFIG.replace("PORT", str(probe.getsockname()[1])))
        code, _, err = run(capsys, "revoke", "--config", str(config), "--all")
    assert code == 1
    assert "is the gateway running?" in err


def test_revoke_without_a_token():
    """Without admin.token nothing is even asked."""
    settings = settings_of().model_copy(update={"admin": Settings.model_fields["admin"].default})
    with pytest.raises(AdminError, match="token"):
        target_of(settings, "nothing can be revoked")


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.mark.parametrize("broken", [None, "routes: [", "no: thing\n"])
@pytest.mark.parametrize(
    "command", [["revoke", "--sub", "alice"], ["reload"], ["sessions", "end", "--sub", "a"]]
)
def test_r44_without_a_configuration(capsys, monkeypatch, tmp_path, token_file, broken, command):
    """R44 [4.7]: whatever state gateway.yaml is in, the running gateway can be asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    if broken is not None:
        (tmp_path / "gateway.yaml").write_text(broken)
    answer = b'{"acknowledged": ["a"], "missing": [], "changed": ["routes"], "warnings": [], "ended": 1}'
    with admin(200, answer) as (port, seen):
        where = ["--admin", f"http://127.0.0.1:{port}", "--token-file", str(token_file)]
        code, out, err = run(capsys, *command, *where, "--reason", "left", "--actor", "bob")
    assert (code, err) == (0, "")
    assert out
    [(path, authorization, body)] = seen
    assert authorization == f"Bearer {TOKEN}"
    told = json.loads(body) if body else dict(parse_qsl(path.partition("?")[2]))
    assert (told["reason"], told["actor"]) == ("left", "bob")


@pytest.mark.parametrize("broken", [None, "routes: [", "no: thing\n"])
@pytest.mark.parametrize("command", [["revoke", "--sub", "alice"], ["reload"], ["sessions", "list"]])
def test_whoever_has_a_broken_configuration_is_told_how_to_do_without(
    capsys, monkeypatch, tmp_path, broken, command
):
    """[12.console] What is wrong with the file, and that nobody has to mend it first; exit code 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    if broken is not None:
        (tmp_path / "gateway.yaml").write_text(broken)
    code, out, err = run(capsys, *command)
    assert (code, out) == (1, "")
    assert err.endswith("gateway: --admin URL and --token-file FILE need no configuration\n")
    assert "gateway.yaml" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--admin", "http://127.0.0.1:1"],
        ["--token-file", "TOKEN"],
        ["--admin", "http://127.0.0.1:1", "--token-file", "TOKEN", "--config", "gateway.yaml"],
        ["--admin", "127.0.0.1:9000", "--token-file", "TOKEN"],
        ["--admin", "ftp://127.0.0.1", "--token-file", "TOKEN"],
        ["--admin", "htps://127.0.0.1:443", "--token-file", "TOKEN"],
        ["--admin", "ftp://127.0.0.1:21", "--token-file", "TOKEN"],
        ["--admin", "//127.0.0.1:9000", "--token-file", "TOKEN"],
        ["--admin", "http://127.0.0.1:1#x", "--token-file", "TOKEN"],
        ["--admin", "http://a:b@127.0.0.1", "--token-file", "TOKEN"],
        ["--admin", "http://127.0.0.1:99999", "--token-file", "TOKEN"],
        ["--admin", "http://127.0.0.1/revoke", "--token-file", "TOKEN"],
        ["--admin", "http://127.0.0.1?x", "--token-file", "TOKEN"],
        ["--admin", "http://127.0.0.1:1", "--token-file", "absent"],
        ["--admin", "http://127.0.0.1:1", "--token-file", "EMPTY"],
    ],
)
def test_where_to_ask_must_be_clear(capsys, tmp_path, token_file, words):
    """[4.7] Half of it, a doubt, or no token: one line, exit code 1, and nobody is asked."""
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    places = {"TOKEN": str(token_file), "EMPTY": str(empty)}
    code, out, err = run(capsys, "revoke", "--all", *(places.get(word, word) for word in words))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert TOKEN not in err


def test_r66_the_first_moment_is_a_moment(capsys, token_file):
    """R66 [4.7]: ``--before 0`` names a time, and does not mean everything until now."""
    with admin(200, b'{"acknowledged": [], "missing": []}') as (port, seen):
        where = ["--admin", f"http://127.0.0.1:{port}", "--token-file", str(token_file)]
        run(capsys, "revoke", "--sub", "alice", "--before", "0", *where)
    assert json.loads(seen[0][2])["before"] == 0


@pytest.mark.parametrize("text", ["", "\n", "a\nb", "a\x00", "\ufeffa", "é", "x" * 5000, "a\r\nX-Evil: 1"])
def test_what_is_no_token_is_not_sent(tmp_path, text: str):
    """[4.7] Nor anything that would be more than a token in a field."""
    path = tmp_path / "odd"
    path.write_text(text, newline="")
    with pytest.raises(AdminError, match="holds no token"):
        target_at("https://gateway.test", path)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n\n"])
def test_a_token_ends_before_the_line_does(tmp_path, end: str):
    """[4.7] Editors add a line feed, some systems two signs."""
    path = tmp_path / "token"
    path.write_text(TOKEN + end, newline="")
    assert target_at("https://gateway.test", path).token == TOKEN


def test_a_target_shows_no_token(token_file):
    """R16: neither does what is said of it."""
    target = target_at("https://gateway.test", token_file)
    assert (target.host, target.port, target.tls) == ("gateway.test", 443, Trust("system"))
    assert TOKEN not in repr(target)


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        ({"sessions": 3}, ["sessions ended: 3"]),
        (
            {"sessions": 0, "streams": 0},
            ["sessions ended: none", "open connections ended at this gateway: none"],
        ),
        (
            {"sessions": None, "streams": 2, "tokens_refused_until": None},
            [UNTOLD, "open connections ended at this gateway: 2"],
        ),
        (
            {"tokens_refused_until": 1767225600.25},
            [UNTOLD, "bearer tokens are refused that were issued until 2026-01-01T00:00:01Z"],
        ),
        (
            {"tokens_refused_until": 1e300},
            [UNTOLD, "bearer tokens are refused that were issued until the end of time"],
        ),
        ({"sessions": "x", "streams": True, "tokens_refused_until": "x"}, [UNTOLD]),
    ],
)
def test_what_a_revocation_met(capsys, config, told, lines):
    """[4.7], [1.4]: how many sessions, none of them said so; until when tokens are refused."""
    answer = json.dumps({"acknowledged": ["a"], "missing": []} | told).encode()
    code, out, *_ = revoking(capsys, config, answer, "--sub", "alice")
    assert (code, out.splitlines()) == (0, ["acknowledged: a", *lines])


NONE_MET = "that lives was met: is the "
ID = "x" * 43


@pytest.mark.parametrize(
    ("words", "told", "doubt"),
    [
        (["--sub", "alice"], {"sessions": 0, "streams": 0}, NONE_MET),
        (["--sub", "alice"], {"sessions": 0, "streams": 1}, None),
        (["--sub", "alice"], {"sessions": 1, "streams": 0}, None),
        (["--sub", "alice"], {"sessions": None, "streams": 0}, None),
        (["--sub", " alice"], {"sessions": 1}, "white space"),
        (["--session", ID], {"sessions": None}, None),
        (["--session", ID], {"sessions": 0}, NONE_MET),
        (["--session", "k3Qx0b"], {"sessions": None}, "43 characters"),
        (["--jti", "x"], {"sessions": None, "streams": 0}, None),
        (["--key", "x"], {"keys": 0}, NONE_MET),
        (["--key", "x"], {"keys": 1}, None),
        (["--key", "x"], {"keys": None}, None),
        (["--all"], {"sessions": 0}, None),
    ],
)
def test_a_revocation_that_met_nothing_is_warned_of(capsys, config, words, told, doubt):
    """[12.admin] On standard error, where it can be told; it holds all the same, so the exit code is 0."""
    answer = json.dumps({"acknowledged": ["a"], "missing": []} | told).encode()
    code, _, err, seen = revoking(capsys, config, answer, *words)
    assert (code, len(seen)) == (0, 1)
    if doubt is None:
        assert err == ""
    else:
        assert doubt in err
        assert "(warning)" in err


@pytest.mark.parametrize("option", ["--jti", "--sub", "--sid", "--session"])
@pytest.mark.parametrize(
    "token", ["eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJ4In0.c2ln", " eyJh.eyJq. ", "eyJh..a.b.c"]
)
def test_a_token_in_place_of_its_name_is_sent_nowhere(capsys, config, option, token):
    """[12.admin] Whoever pastes a whole token is told so; it gets into no log and no store."""
    code, out, err, seen = revoking(capsys, config, b"{}", option, token)
    assert (code, out, seen) == (1, "", [])
    assert "whole token" in err
    assert token.strip() not in err


def test_a_taken_port_is_one_line(config, tmp_path, valkey_url):
    """A start that fails says what to do, in one line without a traceback."""
    with socket.socket() as taken, socket.socket() as other:
        for each in (taken, other):
            each.bind(("127.0.0.1", 0))
            each.listen()
        config.write_text(
            CONFIG.replace("PORT", str(other.getsockname()[1]))
            + f"listen: 127.0.0.1:{taken.getsockname()[1]}\nredis: {{url: '{valkey_url}'}}\n"
        )
        done = started(config, tmp_path)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert "taken" in lines[0]


def test_no_store_is_one_line(config, tmp_path):
    """Without a place for the embedded store the start fails, in one line that names the setting."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = free.getsockname()[1]
    config.write_text(f"{CONFIG.replace('PORT', '0')}listen: 127.0.0.1:{listen}\nstate_dir: /proc/nowhere\n")
    done = started(config, tmp_path)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("gateway: cannot start: ")


def started(config, directory) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gateway", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(TREE)},
    )


async def test_a_broken_pipe_is_quiet(config):
    """``gateway schema | head -1`` ends without a traceback."""
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f"{sys.executable} -m gateway schema | head -1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=TREE,
    )
    out, err = await process.communicate()
    assert out == b"{\n"
    assert err == b""


@pytest.mark.parametrize(
    ("words", "guarded"),
    [
        (["sessions", "show", HYPHENATED], ["sessions", "show", "--", HYPHENATED]),
        (
            ["sessions", "end", HYPHENATED, "--config", "x"],
            ["sessions", "end", "--config", "x", "--", HYPHENATED],
        ),
        (["revoke", "--session", HYPHENATED], ["revoke", f"--session={HYPHENATED}"]),
        (["sessions", "show", "--", HYPHENATED], ["sessions", "show", "--", HYPHENATED]),
        (["revoke", "--session=" + HYPHENATED], ["revoke", "--session=" + HYPHENATED]),
        (["revoke", "--all"], ["revoke", "--all"]),
    ],
)
def test_an_id_may_begin_with_a_hyphen(words, guarded):
    """One session id in 64 does, and is no option."""
    assert cli._guarded(words) == guarded
    assert cli._parser(guarded).parse_args(guarded)


def test_check_says_what_to_register_for_the_console(capsys, config):
    """[12.cli]: where operators log in at a provider, it sends them back to the console as well."""
    console = '{url: "http://127.0.0.1:PORT", provider: corporate, require: {groups: [operators]}}'
    config.write_text(
        CONFIG.replace('"${env:ADMIN_TOKEN}"}', f'"${{env:ADMIN_TOKEN}}", console: {console}}}').replace(
            "PORT", "9090"
        )
    )
    code, out, _ = run(capsys, "check", "--config", str(config))
    assert code == 0
    (line,) = [each for each in out.splitlines() if each.startswith("register at")]
    assert line.endswith(" http://127.0.0.1:9090/console/callback")
