"""The admin listener of a whole gateway, over TLS: the commands, what fails and how, the whole API."""

import asyncio
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
import pytest_asyncio
import yaml

from gateway.cli.main import main
from tests.support.certificates import Authority
from tests.support.fleet import TREE, Fleet
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
    """A gateway of one worker whose admin listener speaks TLS and has something to tell of everything."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.pair = self.renew()
        tokens = {"rita": {"token": READER, "role": "read"}}
        super().__init__(
            1,
            admin={"tls": self.pair.written, "tokens": tokens},
            session={"mode": "redis"},
            api_keys={},
            audit={"keep": {"for": "1d"}},
            routes=[{"path": "/", "upstream": "app", "access": "required", "api_keys": True}],
        )

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


class Described:
    """The description that a gateway serves, and whether its answers are as it says: no more and no less."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[str] = set()

    def check(self, path: str, method: str, status: int, told: Any) -> None:
        """Judge an answer in JSON."""
        operation = self.document["paths"][path][method.lower()]
        content = operation["responses"][str(status)]["content"]["application/json"]
        whole = {**content["schema"], "components": self.document["components"]}
        jsonschema.Draft202012Validator(whole).validate(told)
        if status == 200:
            self.seen.add(operation["operationId"])
            assert set(told) <= self._members(content["schema"]), path

    def _members(self, schema: dict[str, Any]) -> set[str]:
        if "$ref" in schema:
            return self._members(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        return set(schema.get("properties", ())).union(*map(self._members, schema.get("allOf", ())))


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
    """Tell whether the gateway has done it, or says that nothing has such a name."""
    return code == 0 or "the gateway answered 404: No " in err


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
    assert "rita has the role read. Use another token than that of --token-file." in err


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


async def test_a_reload_takes_tokens_over_and_the_log_says_who_acts(fleet: SecureFleet):
    """[12.admin] Through the supervisor: new tokens count, old ones do not; refusals are audited, too."""
    data = fleet.config()
    data["admin"]["tokens"] = {"rob": {"token": "rob-0123456789abcdefghij", "role": "all"}}
    fleet.path.write_text(yaml.safe_dump(data))
    assert (await fleet.admin("GET", "/audit/heads", READER))[0] == 200
    assert (await fleet.admin("POST", "/reload", json={"reason": "r", "actor": "eve"}))[0] == 200
    assert (await fleet.admin("GET", "/audit/heads", READER))[0] == 401
    body = {"sub": "nobody", "actor": "token"}
    assert (await fleet.admin("POST", "/revoke", "rob-0123456789abcdefghij", json=body))[0] == 200
    fleet.write()
    assert (await fleet.admin("POST", "/reload", "rob-0123456789abcdefghij"))[0] == 200
    (refused,) = await fleet.eventually(
        lambda: [each for each in fleet.events("admin_refused") if each["endpoint"] == "/audit/heads"]
    )
    assert (refused["why"], refused["method"], "actor" in refused) == ("unknown_token", "GET", False)
    (by_rob,) = await fleet.eventually(
        lambda: [each for each in fleet.events("revocation") if each["actor"] == "rob"]
    )
    assert (by_rob["on_behalf_of"], by_rob["actor_by"]) == ("token", "token")
    await fleet.eventually(lambda: fleet.events("reloaded")[-1]["actor"] == "rob")
    *_, before, last = fleet.events("reloaded")
    assert (before["actor"], before["on_behalf_of"], before["reason"]) == ("token", "eve", "r")
    assert last["actor"] == "rob"

    async def kept() -> list[str]:
        _, text = await fleet.admin("GET", "/audit?event=reloaded&limit=2")
        return [each["actor"] for each in json.loads(text)["entries"]]

    async def are_kept() -> bool:
        return await kept() == ["rob", "token"]

    await fleet.eventually(are_kept)
    assert READER not in fleet.log.read_text()


async def test_answers_are_as_described(fleet: SecureFleet):
    """[12.admin] Each operation that answers JSON has something to tell, and its members are described."""
    described = Described(json.loads((await fleet.admin("GET", "/openapi.json"))[1]))

    async def ask(method: str, path: str, of: str = "", expected: int = 200, **more: Any) -> Any:
        status, text = await fleet.admin(method, path, **more)
        assert status == expected, text
        told = json.loads(text)
        described.check(of or path.partition("?")[0], method, status, told)
        return told

    for user in ("alice", "alice", "bob"):
        browser = fleet.browser()
        await browser.login(user=user)
    assert (await ask("GET", "/livez"))["status"] == "alive"
    await ask("GET", "/readyz")
    sessions = (await ask("GET", "/sessions?limit=10"))["sessions"]
    assert {each["subject"] for each in sessions} == {"alice", "bob"}
    (bob,) = [each["session_id"] for each in sessions if each["subject"] == "bob"]
    described.check("/sessions/{id}", "GET", 200, sessions[0])
    await ask("GET", f"/sessions/{bob}", "/sessions/{id}")
    await ask("DELETE", f"/sessions/{bob}?reason=lost", "/sessions/{id}")
    assert (await ask("DELETE", "/sessions?sub=alice"))["ended"] == 2
    key = {"id": "abcdefghijklmnop", "sha256": "0" * 64, "owner": "tester", "scopes": ["a"]}
    await ask("POST", "/keys", json={**key, "expires": time.time() + 3600})
    (listed,) = (await ask("GET", "/keys?owner=tester"))["keys"]
    described.check("/keys", "GET", 200, {"keys": [listed], "cursor": None})
    assert set(listed) == set(described.document["components"]["schemas"]["Key"]["properties"])
    await ask("DELETE", f"/keys/{key['id']}", "/keys/{id}")
    await ask("POST", "/revoke", json={"sub": "alice", "reason": "left", "before": 0})
    await ask("POST", "/reload")
    await ask("POST", "/explain", json={"method": "GET", "target": "/", "host": "localhost"})
    await fleet.eventually(lambda: len(fleet.events("revocation")) >= 5)
    await ask("GET", "/audit?sub=alice&limit=5")
    await ask("GET", "/audit?before=0-0")
    await ask("GET", "/audit/chain?limit=1")
    await ask("GET", "/audit/heads")
    await ask("DELETE", "/audit?sub=alice")
    operations = {
        each["operationId"]
        for methods in described.document["paths"].values()
        for method, each in methods.items()
        if method != "parameters"
    }
    assert described.seen == operations - {"getMetrics", "getDescription"}


@pytest.mark.timeout(300)
async def test_the_whole_api_is_fuzzed_by_its_description(fleet: SecureFleet, tmp_path):
    """[12.admin] By schemathesis, with every check that it has, the same requests each time.

    No failure of ours, no answer that is not described, no other method, type or field, and nothing without
    a token.
    """
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(TREE / "tests/support/schemathesis.toml")),
        *("run", f"https://127.0.0.1:{fleet.admin_port}/openapi.json"),
        *("--tls-verify", str(fleet.authority.file), "--header", f"Authorization: Bearer {ADMIN_TOKEN}"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", "5"),
        *("--generation-deterministic", "--no-color", "--warnings", "off"),
        *("--suppress-health-check", "all", "--request-timeout", "60"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    told = (await process.communicate())[0].decode()
    assert process.returncode == 0, told
    assert ADMIN_TOKEN not in fleet.log.read_text()
    described = json.loads((await fleet.admin("GET", "/openapi.json"))[1])["paths"].values()
    # where it has the description from it leaves out
    count = sum(len(methods.keys() - {"parameters"}) for methods in described) - 1
    assert f"{count} selected / {count} total" in told
    assert not [line for line in fleet.lines() if "frames" in line or "internal" in str(line.get("message"))]
