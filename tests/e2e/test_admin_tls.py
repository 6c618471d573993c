"""TLS on the admin listener of a whole gateway: who is trusted, what renews, what is said where it fails."""

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml

from gateway.cli.main import main
from tests.support.certificates import Authority
from tests.support.fleet import Fleet
from tests.support.ports import free_port
from tests.support.world import ADMIN_TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")
READER = "reader-token-0123456789abcdef"
COMMANDS = [
    ["revoke", "--sub", "nobody"],
    ["sessions", "list"],
    ["sessions", "show", "abc"],
    ["sessions", "end", "abc"],
    ["keys", "api", "list"],
    ["keys", "api", "create", "--owner", "robot"],
    ["keys", "api", "revoke", "abcdefghijklmnop"],
    ["reload"],
    ["explain", "--live", "http://localhost/"],
]
CHANGES = [each for each in COMMANDS if each[-1] not in ("list", "http://localhost/") and "show" not in each]


class SecureFleet(Fleet):
    """A gateway of one worker whose admin listener speaks TLS; it runs in cookie mode, without API keys."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.pair = self.renew()
        tokens = {"rita": {"token": READER, "role": "read"}}
        super().__init__(1, admin={"tls": self.pair.written, "tokens": tokens})

    def renew(self):
        """Issue the listener's certificate anew, into the same files."""
        return self.authority.issue("gateway.test", "127.0.0.1", file="admin")

    async def admin(self, method: str, path: str, token: str = ADMIN_TOKEN, **more):
        """Ask the admin listener, and trust the authority alone."""
        connector = aiohttp.TCPConnector(ssl=self.authority.trusting())
        url, headers = f"https://127.0.0.1:{self.admin_port}{path}", {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, url, headers=headers, **more) as answer,
        ):
            return answer.status, await answer.text()

    def serial(self) -> str:
        """Return the serial number of the certificate that is served now."""
        context = self.authority.trusting()
        with (
            socket.create_connection(("127.0.0.1", self.admin_port)) as plain,
            context.wrap_socket(plain, server_hostname="gateway.test") as secured,
        ):
            return secured.getpeercert()["serialNumber"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory):
    """One gateway for all of these."""
    async with SecureFleet(tmp_path_factory.mktemp("authority")) as fleet:
        yield fleet


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Return what runs a command in a directory of its own, and returns code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, words)
        return code, *capsys.readouterr()

    return run


def where(fleet: SecureFleet, tmp_path: Path, token: str = ADMIN_TOKEN, scheme: str = "https") -> list[str]:
    """Return the options that name the listener without a configuration."""
    file = tmp_path / token
    file.write_text(token)
    url = f"{scheme}://127.0.0.1:{fleet.admin_port}"
    return ["--admin", url, "--token-file", str(file), "--admin-ca", str(fleet.authority.file)]


def is_done(code: int, err: str) -> bool:
    """Tell whether the gateway has answered what there is to say in cookie mode without API keys."""
    return code == 0 or any(told in err for told in ("session.mode is cookie", "no section api_keys"))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_every_command_works_without_a_configuration(fleet: SecureFleet, run, tmp_path, words):
    """[12.admin] Beside a file that is broken, each command asks over TLS, or says what there is to say."""
    (tmp_path / "gateway.yaml").write_text("routes: [")
    code, _, err = await run(*words, *where(fleet, tmp_path))
    assert is_done(code, err), err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_with_the_configuration_its_own_certificate_counts(fleet: SecureFleet, run, tmp_path, words):
    """[12.admin] Whatever name it has; with any other certificate the token is not sent."""
    code, _, err = await run(*words, "--config", str(fleet.path))
    assert is_done(code, err), err
    if words != ["reload"]:
        return
    other = Authority(tmp_path).issue("127.0.0.1", file="other")
    sibling = fleet.authority.issue("127.0.0.1", file="sibling")
    for pair in (other, sibling):
        data = yaml.safe_load(fleet.path.read_text())
        data["admin"]["tls"] = pair.written
        (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(data))
        code, _, err = await run(*words, "--config", str(tmp_path / "wrong.yaml"))
        assert code == 1
        assert "its certificate is not trusted" in err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_what_fails_says_what_to_do(fleet: SecureFleet, run, tmp_path, words):
    """[12.admin] A wrong token, plain HTTP, an authority that nobody knows, nobody there: one line each."""
    good = where(fleet, tmp_path)
    strange = Authority(tmp_path, "strange").file
    cases = [
        (where(fleet, tmp_path, token="wrong-token-0123456789"), "another token"),
        ([*where(fleet, tmp_path, scheme="http")[:4]], "write https://"),
        (good[:4], "name its authority with --admin-ca"),
        ([*good[:5], str(strange)], "name its authority with --admin-ca"),
        ([*good[:5], str(tmp_path / "absent")], "cannot be used"),
        (["--admin", f"https://127.0.0.1:{free_port()}", *good[2:]], "is the gateway running?"),
        (["--admin", f"https://127.0.0.1:{fleet.public_port}", *good[2:]], "write http://"),
        (["--admin", f"http://127.0.0.1:{fleet.admin_port}", *good[2:]], "--admin-ca is for https"),
    ]
    for options, told in cases:
        code, out, err = await run(*words, *options)
        assert (code, out) == (1, ""), options
        assert told in err
        assert len(err.splitlines()) == 1
        assert ADMIN_TOKEN not in err


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
async def test_a_role_that_is_not_enough_is_named(fleet: SecureFleet, run, tmp_path, words):
    """[12.admin] What is needed, who asked, and what to do."""
    code, out, err = await run(*words, *where(fleet, tmp_path, READER))
    assert (code, out) == (1, "")
    assert "This needs the role" in err
    assert "rita has the role read. Use another token" in err


async def test_readers_may_look(fleet: SecureFleet, run, tmp_path):
    """[12.admin] A reader's token lists and explains."""
    for words in (["sessions", "list"], ["keys", "api", "list"], ["explain", "--live", "http://localhost/"]):
        code, _, err = await run(*words, *where(fleet, tmp_path, READER))
        assert is_done(code, err)


async def test_renewed_files_are_taken_over(fleet: SecureFleet, run):
    """[12.admin] By a reload at once; healthcheck asks over TLS as well."""
    before = await asyncio.to_thread(fleet.serial)
    fleet.renew()
    assert (await run("reload", "--config", str(fleet.path)))[0] == 1
    status, text = await fleet.admin("POST", "/reload")
    assert status == 200, text
    assert await asyncio.to_thread(fleet.serial) != before
    assert (await run("reload", "--config", str(fleet.path)))[0] == 0
    assert (await run("healthcheck", "--config", str(fleet.path)))[0] == 0
    fleet.write(admin={"tls": None})
    status, text = await fleet.admin("POST", "/reload")
    fleet.write()
    assert status == 422
    assert "admin.tls: this change needs a restart" in text
