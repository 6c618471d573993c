"""What stands around the peers for the length of a benchmark, and the peers that are up."""

import contextlib
import itertools
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.bench import configurations, material
from tests.bench.client import connect, read_head
from tests.bench.configurations import DIRECT, TLS, Place
from tests.bench.material import Material
from tests.bench.peers import PEERS, running
from tests.bench.processes import (
    LOAD_CORE,
    PROXY_CORE,
    NotStarted,
    Running,
    find_program,
    started,
)
from tests.bench.visits import Credential, bearer
from tests.bench.wrk import head
from tests.support.ports import free_port

# as Chrome sends them with a fetch() to its own origin
CHROME = {
    "Connection": "keep-alive",
    "sec-ch-ua-platform": '"Windows"',
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "sec-ch-ua": '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile": "?0",
    "Accept": "application/json, text/plain, */*",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Instance:
    """A peer that is up."""

    name: str
    place: Place
    running: Running

    def headers(self, **more: str) -> dict[str, str]:
        """Return what a browser sends to it; a word's underscores become hyphens."""
        fields = {"Host": self.place.authority} | CHROME | {"Referer": f"{self.place.origin}/items"}
        if self.place.is_proxied:
            fields |= {"X-Forwarded-For": "198.19.0.1", "X-Forwarded-Proto": "https"}
        return fields | {name.replace("_", "-"): value for name, value in more.items()}


@dataclass(slots=True)
class Rig:
    """The material, the helpers on the generator's core, and the instances by name."""

    material: Material
    token: str
    helpers: list[int]
    instances: dict[str, Instance] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _tokens: dict[str, list[str]] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)
    _open: dict[str, contextlib.ExitStack] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The temporary folder of this run."""
        return self.material.folder

    def place(self, name: str, kind: str = DIRECT, shape: str = "") -> Place:
        """Return a new place for an instance of a peer."""
        folder = self.folder / f"{name.partition(',')[0]}-{next(self._numbers)}"
        return Place(folder, free_port(), self.material, kind, free_port(), shape)

    @contextlib.contextmanager
    def fresh(self, name: str, kind: str = DIRECT, shape: str = "") -> Iterator[Instance]:
        """Run another instance of a peer for the length of the body. Raises NotStarted."""
        place = self.place(name, kind, shape)
        with running(PEERS[name], place) as process:
            yield Instance(name, place, process)

    def instance(self, name: str, kind: str = DIRECT, shape: str = "") -> Instance:
        """Return the peer's instance of this run, started when first asked for. Raises NotStarted."""
        key = ", ".join(filter(None, (name, kind, shape)))
        if key not in self.instances and key not in self.missing:
            try:
                stack = self._open[key] = contextlib.ExitStack()
                instance = stack.enter_context(self.fresh(name, kind, shape))
                if kind != TLS:
                    self.check(instance)
                self.instances[key] = instance
            except NotStarted as error:
                self.missing[key] = str(error)
        if key in self.missing:
            raise NotStarted(self.missing[key])
        return self.instances[key]

    def check(self, instance: Instance) -> None:
        """See that an instance answers, and refuses what it must: the same checks for every peer.

        Raises:
            NotStarted: it does not do its work, so its speed would say nothing.
        """
        status = self._status(instance, self.token)
        if status != b"200":
            raise NotStarted(f"a valid token was answered with {status.decode('latin-1') or 'nothing'}")
        if not PEERS[instance.name].verifies:
            return
        for what, token in material.worthless(
            self.material.signer, self.material.issuer, time.time()
        ).items():
            status = self._status(instance, token)
            if status not in (b"401", b"403"):
                raise NotStarted(f"{what} was answered with {status.decode('latin-1') or 'nothing'}")

    def _status(self, instance: Instance, token: str) -> bytes:
        request = head(configurations.API, instance.headers(Authorization=f"Bearer {token}")) + "\r\n"
        try:
            with connect(instance.place.port) as sock:
                sock.sendall(request.encode("latin-1"))
                return read_head(sock)[0][9:12]
        except OSError:
            return b""

    def tokens(self, purpose: str, count: int) -> list[str]:
        """Return tokens for a purpose: the same for every peer, none shared with another purpose."""
        if len(self._tokens.get(purpose, ())) < count:
            first = (len(self._tokens) + 1) * 1_000_000
            cores = (PROXY_CORE, LOAD_CORE)
            self._tokens[purpose] = material.mint(
                self.material.key, self.material.issuer, first, count, cores
            )
        return self._tokens[purpose][:count]

    def bearers(self, count: int) -> list[Credential]:
        """Return the credentials of people: a bearer token each."""
        return [bearer(token) for token in self.tokens(f"{count} people", count)]

    def known(self, name: str, make: "Callable[[], T]") -> "T":
        """Return what was made under a name in this run, made when first asked for."""
        if name not in self._known:
            self._known[name] = make()
        found: T = self._known[name]
        return found

    def end_shaped(self) -> None:
        """End the instances that one row has had for itself: the others' core is to be quiet."""
        for key in [key for key, instance in self.instances.items() if instance.place.shape]:
            del self.instances[key]
            self._open.pop(key).close()

    def close(self) -> None:
        """End every instance."""
        with contextlib.ExitStack() as every:
            for stack in self._open.values():
                every.callback(stack.close)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def rigged() -> Iterator[Rig]:
    """Set everything up around the peers, and take it down again, whatever happens.

    Raises:
        NotStarted: nginx, wrk, taskset or a second core is absent: nothing can be measured.
    """
    cores = os.sched_getaffinity(0)
    if not {PROXY_CORE, LOAD_CORE} <= cores:
        raise NotStarted("two cores are needed: one for the proxy, one for the load")
    for program in ("nginx", "wrk", "taskset"):
        if find_program(program) is None:
            raise NotStarted(f"{program} is not installed")
    _raise_file_limit()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        provider_port = free_port()
        made = Material(
            folder, material.new_key(), f"http://127.0.0.1:{provider_port}", free_port(), free_port()
        )
        made.write()
        # the harness itself belongs to the load
        os.sched_setaffinity(0, {LOAD_CORE})
        stack.callback(os.sched_setaffinity, 0, cores)
        helpers = _start_helpers(stack, made, provider_port)
        token = material.mint(made.key, made.issuer, material.TOKEN_SECONDS, 1, (LOAD_CORE,))[0]
        rig = Rig(made, token, helpers)
        stack.callback(rig.close)
        yield rig


def _start_helpers(stack: contextlib.ExitStack, made: Material, provider_port: int) -> list[int]:
    folder = made.folder
    python = sys.executable
    upstream = folder / "upstream"
    upstream.mkdir()
    file = upstream / "nginx.conf"
    file.write_text(configurations.nginx_upstream(upstream, folder / "served", made.upstream_port))
    nginx = [find_program("nginx") or "nginx", "-c", str(file)]
    auxiliary = [python, "-m", "tests.bench.auxiliary", str(made.auxiliary_port)]
    provider = [python, "-m", "tests.bench.provider", str(provider_port), str(folder / "key.pem")]
    pids: list[int] = []
    for name, command, port in (
        ("upstream", nginx, made.upstream_port),
        ("auxiliary", auxiliary, made.auxiliary_port),
        ("provider", provider, provider_port),
    ):
        pids += stack.enter_context(started(name, command, folder, LOAD_CORE, port)).pids()
    return pids
