"""``gateway healthcheck``: what a container asks every few seconds."""

import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from threading import Thread

import pytest

from gateway.cli import main as cli
from gateway.cli.healthcheck import DEFAULT_LISTEN
from gateway.config.settings.admin import AdminSettings
from tests.support.certificates import Authority
from tests.support.configuration import TREE
from tests.support.ports import free_port

ALIVE = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"status":"alive"}'
UNREADY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 93\r\n\r\n"
    b'{"status":"unready","checks":{"denylist":"the denylist was not read yet","other":"ok","x":"\\u001b"}}'
)


@contextmanager
def answering(answer: bytes, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None):
    """A listener that says this to each connection; yields its port and what it was asked."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    seen: list[bytes] = []
    with socket.create_server((host, 0), family=family) as listener:

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) if context else connection as each:
                        seen.append(each.recv(4096))
                        each.sendall(answer)
                        if not answer:
                            each.recv(1)
                except OSError:
                    # who asked has gone
                    continue

        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], seen
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.fixture
def asked(capsys, tmp_path, monkeypatch):
    """Return a function that writes a configuration's admin section, and checks it."""
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    def ask(admin: str | None, *words: str) -> tuple[int, str, str]:
        if admin is not None:
            # the rest of the file may be as wrong as it likes
            (tmp_path / "gateway.yaml").write_text(f"nonsense: ${{env:NOT_SET}}\nadmin: {admin}\n")
        code = cli.main(["healthcheck", *words])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return ask


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1:{}", "127.0.0.1"),
        ("0.0.0.0:{}", "127.0.0.1"),
        ("[::1]:{}", "::1"),
        ("[::]:{}", "::1"),
        ("[::]:{}", "127.0.0.1"),
        ("localhost:{}", "127.0.0.1"),
    ],
)
def test_it_asks_where_the_configuration_says(asked, listen, host):
    """[12.cli]: an address, every address of either family, a name; nothing else of the file is read."""
    with answering(ALIVE, host=host) as (port, seen):
        assert asked(f'{{listen: "{listen.format(port)}"}}') == (0, "alive\n", "")
    assert seen[0].startswith(b"GET /livez HTTP/1.1\r\n")


def test_the_address_may_come_from_the_environment(asked, monkeypatch):
    """[12.cli]: as any value of the file."""
    with answering(ALIVE) as (port, _):
        monkeypatch.setenv("ADMIN_LISTEN", f"127.0.0.1:{port}")
        assert asked("{listen: '${env:ADMIN_LISTEN}'}")[0] == 0
    code, _, err = asked("{listen: '${env:ADMIN_NOWHERE}'}")
    assert code == 1
    assert "ADMIN_NOWHERE is not set" in err


def test_readiness_says_what_is_wrong(asked):
    """[12.cli]: exit code 1, and the check that fails, as plain text whatever was answered."""
    with answering(UNREADY) as (port, seen):
        code, out, err = asked(None, "--ready", "--admin", f"http://127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert err.startswith("gateway: /readyz answered 503 (denylist: the denylist was not read yet")
    assert "\x1b" not in err
    assert seen[0].startswith(b"GET /readyz ")


def test_without_a_listener(asked):
    """[12.cli]: nothing there, or nothing that answers: exit code 1 within the time that is given."""
    code, _, err = asked(f'{{listen: "127.0.0.1:{free_port()}"}}')
    assert code == 1
    assert "is the gateway running?" in err
    with answering(b"") as (port, _):
        code, _, err = asked(f'{{listen: "127.0.0.1:{port}"}}', "--timeout", "0.2")
    assert code == 1
    assert "did not answer within 0.2 s" in err
    with answering(b"SSH-2.0-OpenSSH\r\n") as (port, _):
        code, _, err = asked(f'{{listen: "127.0.0.1:{port}"}}')
    assert code == 1
    assert "no HTTP" in err


def test_over_tls(asked, tmp_path):
    """[12.cli]: with ``admin.tls`` or ``https://``, whoever's certificate it is: no secret is sent."""
    pair = Authority(tmp_path).issue("elsewhere.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with answering(ALIVE, context=context) as (port, _):
        assert asked(None, "--admin", f"https://127.0.0.1:{port}")[0] == 0
        assert asked(None, "--admin", f"http://127.0.0.1:{port}")[0] == 1
        tls = f"tls: {{certificate: {pair.certificate}, key: {pair.key}}}"
        assert asked(f'{{listen: "127.0.0.1:{port}", {tls}}}')[0] == 0


@pytest.mark.parametrize(
    ("admin", "words", "told"),
    [
        (None, [], "no configuration"),
        ("{listen: 9090}", [], "admin.listen is no address"),
        ("{listen: 'x", [], "gateway check"),
        (None, ["--admin", "127.0.0.1:9090"], "--admin is no URL"),
        (None, ["--admin", "http://user:secret@127.0.0.1:9090"], "--admin is no URL"),
        (None, ["--admin", "http://127.0.0.1:9090/livez"], "--admin is no URL"),
        (None, ["--config", "nowhere.yaml"], "cannot be read"),
    ],
)
def test_what_cannot_be_asked(asked, admin, words, told):
    """[12.cli]: a line that says what to do, and exit code 1: Docker reserves 2."""
    code, out, err = asked(admin, *words)
    assert (code, out) == (1, "")
    assert told in err
    assert "secret" not in err


def test_it_starts_light():
    """[12.cli]: what a container does every few seconds loads nothing that takes long."""
    heavy = ("pydantic", "aiohttp", "cryptography", "redis", "asyncio", "http.client", "ssl", "email")
    code = (
        "import sys; from gateway.cli import main as cli\n"
        f"cli.main(['healthcheck', '--config', 'config/minimal.yaml'])\n"
        f"print(*(m for m in {heavy!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TREE)
    assert done.stdout.splitlines()[-1] == ""


def test_the_default_is_the_listener_s():
    """[12.cli]: the address that is read without loading the settings is theirs."""
    assert AdminSettings().listen == DEFAULT_LISTEN
