"""Real proxies that end TLS, ask for certificates, and tell them by the lines of docs/bound-tokens.md."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.edge.store.embedded import tethered
from tests.e2e.test_mutual_tls import bound, x5t
from tests.support.certificates import Authority, Pair
from tests.support.dpop import proof, thumbprint
from tests.support.ports import free_port
from tests.support.world import World

PAGE = Path(__file__).parents[2] / "docs" / "bound-tokens.md"
ROUTES = [{"path": "/", "upstream": "app", "access": "required", "unauthenticated": "reject"}]
NGINX = """\
daemon off;
master_process off;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {site.certificate};
        ssl_certificate_key {site.key};
        ssl_client_certificate {authority};
        ssl_verify_client optional;
        location / {{
            proxy_pass http://127.0.0.1:{gateway};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            {lines}
        }}
    }}
}}
"""
HAPROXY = """\
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend site
    bind 127.0.0.1:{port} ssl crt {directory}/site.pem ca-file {authority} verify optional
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    {lines}
    default_backend gateway
backend gateway
    server one 127.0.0.1:{gateway}
"""
PROXIES = {"nginx": (NGINX, ["-e", "stderr", "-c"]), "HAProxy": (HAPROXY, ["-f"])}


def documented(name: str) -> tuple[str, str]:
    """Return the lines of the documentation for a proxy, and the field that they write."""
    found = re.search(rf"^\| {name} \| (.+) \| `([A-Za-z-]+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    # what is to come before another line stands behind it
    return "\n    ".join(reversed(re.findall(r"`([^`]+)`", found[1]))), found[2]


@contextmanager
def running(name: str, directory: Path, **values: object) -> Iterator[None]:
    """Run a proxy with its configuration."""
    template, options = PROXIES[name]
    program = shutil.which(name.lower()) or f"/usr/sbin/{name.lower()}"
    if not Path(program).exists():
        pytest.skip(f"no {name} on this machine")
    file = directory / "proxy.conf"
    file.write_text(template.format(directory=directory, **values))
    process = subprocess.Popen(tethered([program, *options, str(file)]), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.asyncio
async def test_the_documented_lines(name: str, valkey_url: str, tmp_path: Path):
    """R64 [11.7]: the certificate that was shown, whatever is told; and the URL that was asked for."""
    lines, field = documented(name)
    authority, port = Authority(tmp_path), free_port()
    site, own, other = (
        authority.issue("localhost"),
        authority.issue("alice", client=True),
        authority.issue("mallory", client=True),
    )
    (tmp_path / "site.pem").write_text(site.certificate.read_text() + site.key.read_text())
    base = f"https://localhost:{port}"
    more = {"trusted_proxies": ["127.0.0.1/32"], "forwarding": {"client_certificate": field}}
    async with World(valkey_url, tmp_path, public_url=[base], routes=ROUTES, **more) as world:
        values = {"site": site, "authority": authority.file, "gateway": world.public_port}
        with running(name, tmp_path, port=port, lines=lines, **values):

            async def ask(pair: Pair | None, headers: dict[str, str]) -> int:
                connector = aiohttp.TCPConnector(ssl=authority.trusting(pair), force_close=True)
                async with (
                    aiohttp.ClientSession(connector=connector) as session,
                    session.get(f"{base}/x", headers=headers) as answer,
                ):
                    return answer.status

            bearer = {"Authorization": f"Bearer {bound(world, own)}"}
            for _ in range(200):
                try:
                    await ask(None, bearer)
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)
            assert await ask(own, bearer) == 200
            assert world.upstream.last().headers["X-Forwarded-User"] == "alice"
            assert field not in world.upstream.last().headers
            assert await ask(other, bearer) == 401
            assert await ask(None, bearer) == 401
            text = own.certificate.read_text().replace("\n", "%0A").replace(" ", "%20")
            for forged in (field, field.replace("-", "_"), field.lower()):
                assert await ask(other, bearer | {forged: text}) == 401
                assert await ask(None, bearer | {forged: text}) == 401
            token = world.provider.mint("alice", cnf={"jkt": thumbprint(), "x5t#S256": x5t(own)})
            made = proof(token, f"{base}/x", world.clock())
            shown = {"Authorization": f"DPoP {token}", "DPoP": made}
            assert await ask(other, shown) == 401
            assert await ask(own, shown) == 200
