"""Real proxies that end TLS, ask for certificates, and tell them by the lines of docs/bound-tokens.md."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.edge.store.embedded import tethered
from tests.bench.processes import find_program
from tests.e2e.test_mutual_tls import bound, x5t
from tests.support import traefik
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
CADDY = """\
{{
    admin off
    auto_https off
    storage file_system {directory}/caddy
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls {site.certificate} {site.key} {{
        client_auth {{
            mode verify_if_given
            trust_pool file {authority}
        }}
    }}
    reverse_proxy 127.0.0.1:{gateway} {{
        {lines}
    }}
}}
"""
FILTERS = "type.googleapis.com/envoy.extensions.filters"
ENVOY = """\
static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      filter_chains:
        - transport_socket:
            name: tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                tls_certificates:
                  - certificate_chain: {{filename: {site.certificate}}}
                    private_key: {{filename: {site.key}}}
                validation_context: {{trusted_ca: {{filename: {authority}}}}}
          filters:
            - name: http
              typed_config:
                "@type": {filters}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: site
                use_remote_address: true
                {lines}
                http_filters:
                  - name: router
                    typed_config: {{"@type": {filters}.http.router.v3.Router}}
                route_config:
                  virtual_hosts:
                    - name: site
                      domains: ["*"]
                      routes: [{{match: {{prefix: /}}, route: {{cluster: gateway}}}}]
  clusters:
    - name: gateway
      type: STATIC
      load_assignment:
        cluster_name: gateway
        endpoints:
          - lb_endpoints:
              - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {gateway}}}}}}}
"""
TRAEFIK = """\
http:
  routers:
    site:
      rule: "PathPrefix(`/`)"
      entryPoints: [site]
      tls: {{}}
      middlewares: [certificate]
      service: gateway
  middlewares:
    certificate:
      {lines}
  services:
    gateway: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{gateway}"}}]}}}}
tls:
  certificates: [{{certFile: {site.certificate}, keyFile: {site.key}}}]
  options:
    default:
      clientAuth: {{caFiles: [{authority}], clientAuthType: VerifyClientCertIfGiven}}
"""
PROXIES: dict[str, tuple[str, list[str]]] = {
    "nginx": (NGINX, ["-e", "stderr", "-c", "{file}"]),
    "HAProxy": (HAPROXY, ["-f", "{file}"]),
    "Caddy": (CADDY, ["run", "--adapter", "caddyfile", "--config", "{file}"]),
    "Traefik": (
        TRAEFIK,
        [
            "--entryPoints.site.address=127.0.0.1:{port}",
            "--providers.file.filename={file}",
            "--providers.file.watch=false",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--log.level=ERROR",
        ],
    ),
    "Envoy": (ENVOY, ["--disable-hot-restart", "--log-level", "error", "-c", "{file}"]),
}


def program_of(name: str) -> str | None:
    """Return where a proxy is, None where it is not installed."""
    if name == "Traefik":
        return str(traefik.program()) if traefik.program().exists() else None
    return find_program(name.lower())


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
    program = program_of(name)
    if program is None:
        pytest.skip(f"no {name} on this machine")
    file = directory / "proxy.yaml"
    file.write_text(template.format(directory=directory, filters=FILTERS, **values))
    command = [program, *(each.format(file=file, **values) for each in options)]
    process = subprocess.Popen(tethered(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
