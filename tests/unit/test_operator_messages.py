"""What an operator reads: the cause, in one line, with what to do."""

import asyncio
import errno
import ssl
from types import SimpleNamespace

import pytest

from gateway.cli.commands import why_not_started
from gateway.edge.configfile.certificates import _judge_pair
from gateway.edge.configfile.load import ConfigurationError, load_settings
from gateway.edge.store.watch import StoreWatch
from gateway.http.upstream.origin import Origin, describe_failure
from tests.support.configuration import TREE


class Lines:
    """Collects what is told."""

    def __init__(self):
        self.told: list[str] = []

    def error(self, message: str, **fields: object) -> None:
        """Take an error."""
        self.told.append(f"error: {message}: {fields['detail']}")

    def info(self, message: str, **fields: object) -> None:
        """Take a message."""
        self.told.append(f"info: {message}")

    def warning(self, message: str, **fields: object) -> None:
        """Take a warning."""
        self.told.append(f"warning: {fields['policy']}")


def test_a_store_that_comes_and_goes_is_told_once_for_each_change():
    """R61: a line when it goes, another for another cause, one when it is back; a good start is silent."""
    store, lines = SimpleNamespace(trouble=None), Lines()
    watch = StoreWatch(store, lines)
    for trouble in (None, "cannot be reached", "cannot be reached", "is loading", None, None):
        store.trouble = trouble
        watch.look()
    assert lines.told == [
        "error: the store is away: no login, no refresh, no new revocation: cannot be reached",
        "error: the store is away: no login, no refresh, no new revocation: is loading",
        "info: the store answers again",
    ]


async def test_a_store_that_is_away_at_the_start_is_told_at_once(monkeypatch):
    """R61: before anything else, and it looks on by itself until it is closed."""
    monkeypatch.setattr("gateway.edge.store.watch.LOOK_EVERY", 0.001)

    async def keeps_all() -> str:
        return "noeviction"

    store, lines = SimpleNamespace(trouble="cannot be reached", eviction_policy=keeps_all), Lines()
    watch = StoreWatch(store, lines)
    watch.start()
    assert len(lines.told) == 1
    store.trouble = None
    for _ in range(1000):
        if len(lines.told) > 1:
            break
        await asyncio.sleep(0.005)
    await watch.close()
    assert lines.told[1] == "info: the store answers again"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (TimeoutError(), "no answer in time"),
        (UnicodeError("label too long"), "UnicodeError"),
        (ssl.SSLError(1, "handshake failure"), "handshake failure"),
    ],
)
def test_no_connection_says_to_whom_and_why(error, why):
    """A 502 in the log names the server and the cause."""
    assert (
        describe_failure(Origin("http://127.0.0.1:3000"), error) == f"no connection to 127.0.0.1:3000: {why}"
    )
    assert describe_failure(Origin("unix:/run/app.sock"), error) == f"no connection to /run/app.sock: {why}"


def test_a_certificate_that_is_refused_says_why():
    """The upstream's certificate, in the words of the verification."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    assert "its certificate is refused: self-signed certificate" in describe_failure(
        Origin("https://a:1"), error
    )


@pytest.mark.parametrize(("setting", "notes"), [("admin.listen (b:2)", True), ("listen (a:1)", False)])
def test_a_taken_port_names_its_setting(setting, notes):
    """One of the two where it is known which, else both."""
    loaded = SimpleNamespace(
        settings=SimpleNamespace(listen="a:1", admin=SimpleNamespace(listen="b:2")),
    )
    error = OSError(errno.EADDRINUSE, "Address already in use")
    if notes:
        error.add_note(setting)
    said = why_not_started(error, loaded)
    assert said.startswith(f"the port of {setting}")
    assert "choose another port" in said
    assert ("listen (a:1)" in said) is not notes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "routes: [{path: /, upstream: app}]",
            "routes[0].access: missing: write public, optional or required",
        ),
        ("routes: [{path: /, access: required}]", "routes[0].upstream: missing: a name of upstreams"),
        ("listen: 8080", "listen: write an address and a port: 127.0.0.1:8080"),
        ("upstreams: {app: {}}", "upstreams.app.servers: missing: write a list: [http://127.0.0.1:3000]"),
    ],
)
def test_what_is_missing_says_what_is_wanted(tmp_path, monkeypatch, line, said):
    """A setting that is not there is told with an example of what could be."""
    monkeypatch.setenv("GATEWAY_SECRET_KEY", "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=")
    monkeypatch.setenv("GATEWAY_CLIENT_SECRET", "made-up")
    name = line.partition(":")[0]
    lines = (TREE / "config/minimal.yaml").read_text().splitlines()
    text = "\n".join([*(each for each in lines if not each.startswith(f"{name}:")), line])
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert said in str(caught.value)


def test_the_file_that_cannot_be_read_is_named(tmp_path):
    """Of certificate and key, the one that is not there."""
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    certificate.write_text("x")
    assert _judge_pair(str(certificate), str(key)) == f"{key} cannot be read: No such file or directory"
    key.write_text("x")
    assert "no usable PEM file" in str(_judge_pair(str(certificate), str(key)))
