"""A whole gateway in processes of its own, as an operator runs it: supervisor, workers, embedded store."""

import asyncio
import base64
import contextlib
import json
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from gateway.core.headers.cookies import joined
from gateway.core.sessions.codec import decode_grant, decode_session
from gateway.core.sessions.model import Grant, Session
from gateway.core.sessions.seal import KeyRing
from gateway.demo.provider import DemoProvider
from gateway.demo.upstream import DemoUpstream
from tests.support.audit_events import hold
from tests.support.ports import free_port
from tests.support.world import (
    ADMIN_TOKEN,
    CLIENT_SECRET,
    SECRET_KEY,
    Browser,
    Page,
    Upstream,
    merge,
)

TREE = Path(__file__).parents[2]


class Fleet:
    """``gateway run`` with its provider and upstream; what is overridden is merged into the configuration."""

    provider_class: type[DemoProvider] = DemoProvider
    upstream_class: type[Upstream] | type[DemoUpstream] = Upstream

    def __init__(self, workers: int, **override: Any) -> None:
        # short, since the path of the store's socket is limited
        self.directory = Path(tempfile.mkdtemp(prefix="gw-"))
        self.path = self.directory / "gateway.yaml"
        self.log = self.directory / "log"
        self.public_port, self.admin_port = free_port(), free_port()
        self.base = f"http://localhost:{self.public_port}"
        self.override = merge({"workers": workers}, override)
        self.browsers: list[Browser] = []
        self.process: asyncio.subprocess.Process | None = None

    def config(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        data: dict[str, Any] = {
            "public_url": self.base,
            "listen": f"127.0.0.1:{self.public_port}",
            "admin": {"listen": f"127.0.0.1:{self.admin_port}", "token": ADMIN_TOKEN},
            "secret_keys": [SECRET_KEY],
            "state_dir": str(self.directory / "state"),
            "providers": {
                "demo": {
                    "issuer": self.provider.issuer,
                    "client_id": "demo",
                    "client_secret": CLIENT_SECRET,
                    "scopes": ["openid", "profile", "email", "offline_access"],
                    "audiences": ["demo-api"],
                }
            },
            "upstreams": {"app": {"servers": [self.upstream.url]}},
            "routes": [
                {"path": "/public/", "upstream": "app", "access": "public"},
                {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
            ],
            "limits": {"drain_timeout": "10s"},
        }
        return merge(data, self.override)

    def write(self, **override: Any) -> None:
        """Write the configuration as an editor does: whole, or not at all."""
        draft = self.path.with_suffix(".new")
        draft.write_text(yaml.safe_dump(merge(self.config(), override), sort_keys=False))
        draft.replace(self.path)

    async def __aenter__(self) -> Self:
        self.provider = self.provider_class(
            client_id="demo", client_secret=CLIENT_SECRET, redirect_uris=(), audience="demo-api"
        )
        await self.provider.start()
        self.provider.redirect_uris = (f"{self.base}/.gateway/callback",)
        self.provider.access_lifetime = 3600.0
        self.upstream = self.upstream_class()
        await self.upstream.start()
        self.write()
        try:
            await self.run()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def run(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run", "--config", str(self.path),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=TREE,
            )  # fmt: skip
        await self.eventually(self.is_ready)

    async def is_ready(self) -> bool:
        """Tell whether every worker is ready."""
        assert self.process.returncode is None, self.log.read_text()
        with contextlib.suppress(aiohttp.ClientError, OSError):
            workers = (await self.readiness())[1]["workers"]
            return all(each["status"] == "ready" for each in workers)
        return False

    async def readiness(self) -> tuple[int, Any]:
        """Return status and document of /readyz."""
        status, text = await self.admin("GET", "/readyz")
        return status, json.loads(text)

    async def pids(self) -> dict[int, int]:
        """Return the process ids of the workers by number."""
        return {each["worker"]: each["pid"] for each in (await self.readiness())[1]["workers"]}

    async def owner(self, port: int, remote: int) -> tuple[int, int]:
        """Return number and process id of the worker with the open connection between these ports."""
        inode = inode_of(port, remote)
        for number, pid in (await self.pids()).items():
            if inode in sockets_of(pid):
                return number, pid
        raise AssertionError(f"no worker has a connection from port {port} to {remote}")

    async def admin(self, method: str, path: str, token: str = ADMIN_TOKEN, **more: Any) -> tuple[int, str]:
        """Ask the admin listener."""
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, **more) as answer,
        ):
            return answer.status, await answer.text()

    async def counted(self, pattern: str) -> float:
        """Return the sum of the metric's series whose names and labels match."""
        text = (await self.admin("GET", "/metrics"))[1]
        found = re.findall(rf"^(?:{pattern})(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def browser(self) -> Browser:
        """Return a new browser."""
        browser = Browser(self)
        self.browsers.append(browser)
        return browser

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged so far."""
        # the last line may be on its way
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of this event so far."""
        return [line for line in self.lines() if line.get("event") == event]

    def signal(self, number: int) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    async def command(self, *words: str) -> tuple[int, str]:
        """Run ``gateway`` with this configuration; return its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *words, "--config", str(self.path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=TREE,
        )  # fmt: skip
        text, _ = await process.communicate()
        return process.returncode, text.decode()

    async def eventually(self, probe: Any, *, tries: int = 1200) -> Any:
        """Return the probe's first true value."""
        for _ in range(tries):
            value = probe()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.025)
        raise AssertionError("it never happened:\n" + self.log.read_text()[-4000:])

    def family(self) -> set[int]:
        """Return the processes that the supervisor has started."""
        return set(
            map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())
        )

    async def __aexit__(self, kind: object = None, *_: object) -> None:
        for browser in self.browsers:
            await browser.close()
        if self.process is not None and self.process.returncode is None:
            # the second signal ends it at once
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGTERM)
                self.signal(signal.SIGINT)
            await self.process.wait()
        await self.upstream.close()
        await self.provider.close()
        # some tests end it by themselves before
        is_good = kind is None and self.log.exists()
        whole = self.log.read_text().rpartition("\n")[0].splitlines() if is_good else []
        shutil.rmtree(self.directory, ignore_errors=True)
        for line in whole:
            # most are access lines, and take long to read
            if line.startswith("{") and '"event":"request"' not in line:
                hold(json.loads(line))


def inode_of(local: int, remote: int) -> str:
    """Return the inode of the loopback's TCP connection between these ports."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = [int(field.rpartition(":")[2], 16) for field in fields[1:3]]
        if ports == [local, remote] and fields[9] != "0":
            return fields[9]
    raise AssertionError(f"no connection from port {local} to {remote}")


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process holds."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def tokens_of(fleet: Any, cookies: dict[str, str]) -> tuple[Session, Grant]:
    """Return the session and the grant that these cookies seal."""
    ring = KeyRing((base64.b64decode(SECRET_KEY),))
    prefix = f"gateway-{fleet.public_port}-"

    def opened(kind: str) -> bytes:
        payload = ring.open(f"{kind} {fleet.base}", joined(cookies, prefix + kind) or "")
        assert payload is not None, f"no {kind} cookie that opens"
        return payload

    session, grant = decode_session(opened("session")), decode_grant(opened("refresh"))
    assert session is not None
    assert grant is not None
    return session, grant


def cookies_in(page: Page) -> dict[str, str]:
    """Return the cookies that an answer sets."""
    pairs = (line.partition(";")[0].partition("=") for line in page.set_cookies)
    return {name: value for name, _, value in pairs}


class Client:
    """One client that asks for public pages over kept connections, one request after the other."""

    def __init__(self, fleet: Fleet, number: int, *, cookie: str = "", path: str = "/public/") -> None:
        self.fleet = fleet
        self.number = number
        self.path = path
        self.cookie = cookie
        self.connection = 0
        self.answered = 0
        self.failed: list[str] = []
        self.statuses: set[int] = set()

    @property
    def name(self) -> str:
        """Name this client's present connection; it stands in the path and so in the log."""
        return f"c{self.number}-{self.connection}"

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop; a failure costs its connection."""
        writer = None
        while not stop.is_set():
            try:
                if writer is None:
                    self.connection += 1
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.fleet.public_port)
                await self._ask(reader, writer)
            except (OSError, EOFError):
                self.failed.append(self.name)
                if writer is not None:
                    writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        head = (
            f"GET {self.path}{self.name} HTTP/1.1\r\nHost: localhost:{self.fleet.public_port}\r\n{cookie}\r\n"
        )
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", answer)
        await reader.readexactly(int(length[1]))
        self.answered += 1
        self.statuses.add(int(answer.split()[1]))


@contextlib.asynccontextmanager
async def load(clients: list[Client]):
    """Let the clients ask while the block runs."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(client.run(stop)) for client in clients]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
