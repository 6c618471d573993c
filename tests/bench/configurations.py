"""The configuration of every peer, as its own documentation would have it for this task. Pure.

All of them: one process or thread for the work (Apache: 128 threads), keep-alive on both sides without a
bound on requests, an access log in a file, the client's address and scheme for the upstream. Those that
verify tokens check signature, algorithm, issuer, audience and expiry, take the Authorization field off and
put the subject on.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import website
from tests.bench.material import AUDIENCE, CLIENT_ID, CLIENT_SECRET, KID, Material

APACHE_MODULES = Path("/usr/lib/apache2/modules")
MOST_CONNECTIONS = 12_000
WEBSOCKET, UPLOAD, API, BIG = "/ws", "/upload", "/api/items", "/big"
DIRECT, TLS, PROXIED = "", "TLS", "proxied"
FRONT = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instance of a peer runs: its folder, its ports, the material around it, and what kind it is.

    ``kind`` is DIRECT, TLS or PROXIED: the last believes a proxy on the loopback about clients and scheme.
    ``shape`` tells instances of the gateway apart: those of ``shapes`` have another configuration.
    """

    folder: Path
    port: int
    material: Material
    kind: str = DIRECT
    admin_port: int = 0
    shape: str = ""

    @property
    def tls(self) -> bool:
        """Whether it listens with TLS."""
        return self.kind == TLS

    @property
    def is_proxied(self) -> bool:
        """Whether a proxy stands in front of it, which ends the TLS."""
        return self.kind == PROXIED

    @property
    def authority(self) -> str:
        """The Host that clients send."""
        return f"localhost:{self.port}"

    @property
    def origin(self) -> str:
        """The origin of its pages."""
        return f"{'https' if self.tls or self.is_proxied else 'http'}://{self.authority}"


def _user() -> str:
    return "user root;" if os.geteuid() == 0 else ""


def _nginx(folder: Path, http: str) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n  ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return f"""daemon off; worker_processes 1; {_user()}
pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  {temporary}
  default_type text/plain; tcp_nodelay on; sendfile on;
  keepalive_timeout 75s; keepalive_requests 100000000; client_max_body_size 0;
{http}
}}
"""


def nginx_upstream(folder: Path, served: Path, port: int) -> str:
    """Return the upstream's configuration: the site, one big file, and 1 KiB from memory for all else."""
    body = "x" * 1024
    types = " ".join(f"{kind} {ending};" for ending, kind in website.TYPES.items())
    answers = "\n".join(
        f"    location {path} {{ default_type application/json; return 200 '{website.answer(path)}'; }}"
        for path in website.ANSWERS
    )
    return _nginx(
        folder,
        f"""  access_log off; tcp_nopush on; open_file_cache max=2000 inactive=1h; open_file_cache_valid 1h;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {served}/site; types {{ {types} }}
    location {website.DOCUMENT_FOLDER} {{ default_type "text/html; charset=utf-8"; }}
    location {website.ASSET_FOLDER} {{ add_header Cache-Control "public, max-age=3600"; }}
{answers}
    location = {BIG} {{ alias {served}/big; }}
    location / {{ return 200 "{body}"; }}
  }}""",
    )


def nginx_proxy(place: Place) -> str:
    """Return a plain proxy without any authentication."""
    material = place.material
    tls = ""
    if place.tls:
        tls = f"""
    ssl_certificate {material.folder}/certificate.pem; ssl_certificate_key {material.folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;"""
    scheme, front = "$scheme", ""
    if place.is_proxied:
        scheme = "$http_x_forwarded_proto"
        front = f"""
    set_real_ip_from {FRONT}; real_ip_header X-Forwarded-For; real_ip_recursive on;"""
    return _nginx(
        place.folder,
        f"""  access_log {place.folder}/access.log combined buffer=64k flush=1s;
  upstream app {{ server 127.0.0.1:{material.upstream_port}; keepalive 128; keepalive_requests 100000000; }}
  upstream auxiliary {{ server 127.0.0.1:{material.auxiliary_port}; keepalive 128; }}
  proxy_http_version 1.1; proxy_max_temp_file_size 0;
  server {{
    listen 127.0.0.1:{place.port} {"ssl " if place.tls else ""}backlog=4096;{tls}{front}
    proxy_set_header Host $http_host; proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto {scheme};
    location / {{ proxy_pass http://app; }}
    location {UPLOAD} {{ proxy_pass http://auxiliary; proxy_request_buffering off; }}
    location {WEBSOCKET} {{
      proxy_pass http://auxiliary; proxy_read_timeout 1h;
      proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }}
  }}""",
    )


def haproxy(place: Place) -> str:
    """Return HAProxy with jwt_verify; it has no cache of verified tokens."""
    material = place.material
    refuse, payload = "http-request deny deny_status 401", "var(txn.bearer),jwt_payload_query"
    verified = f'var(txn.bearer),jwt_verify(txn.alg,"{material.folder}/public.pem")'
    # behind a proxy its scheme goes on as it is, and the client's address takes the place of the proxy's
    front = "http-request set-header X-Forwarded-Proto http"
    if place.is_proxied:
        front = f"""http-request set-src req.hdr_ip(x-forwarded-for,-1) if {{ src {FRONT} }}
  http-request del-header X-Forwarded-For"""
    return f"""global
  nbthread 1
  maxconn 4096
  log stdout format raw local0 info
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout server 75s
frontend public
  bind 127.0.0.1:{place.port} backlog 4096
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.exp) {payload}('$.exp','int')
  http-request set-var(txn.now) date()
  {refuse} unless {{ var(txn.alg) -m str RS256 }}
  {refuse} unless {{ {payload}('$.iss') -m str {material.issuer} }}
  {refuse} unless {{ {payload}('$.aud') -m str {AUDIENCE} }}
  {refuse} if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  {refuse} unless {{ {verified} -m int 1 }}
  http-request set-header X-Forwarded-User %[{payload}('$.sub')]
  {front}
  http-request del-header Authorization
  default_backend app
backend app
  server app 127.0.0.1:{material.upstream_port}
"""


def apache(place: Place) -> str:
    """Return Apache with mod_auth_openidc as an OAuth 2.0 resource server."""
    material, folder = place.material, place.folder
    names = (
        "mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "headers",
        "auth_openidc", *(("remoteip",) if place.is_proxied else ()),
    )  # fmt: skip
    modules = "\n".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in names)
    scheme = "  RequestHeader set X-Forwarded-Proto http\n"
    front = ""
    if place.is_proxied:
        scheme, front = "", f"RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy {FRONT}\n"
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    return f"""ServerRoot {folder}
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
{modules}
{user}
{front}Listen 127.0.0.1:{place.port}
ServerLimit 1
StartServers 1
ThreadsPerChild 128
ThreadLimit 128
MaxRequestWorkers 128
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 75
BufferedLogs On
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog {folder}/access.log combined
ErrorLog {folder}/error.log
LogLevel error
OIDCOAuthVerifyCertFiles {KID}#{material.folder}/certificate.pem
OIDCOAuthRemoteUserClaim sub
OIDCPassClaimsAs none
<Location />
  AuthType oauth20
  <RequireAll>
    Require claim iss:{material.issuer}
    Require claim aud:{AUDIENCE}
  </RequireAll>
  RequestHeader set X-Forwarded-User "expr=%{{REMOTE_USER}}"
{scheme}  RequestHeader unset Authorization
</Location>
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:{material.upstream_port}/
"""


def _caddy_trust(place: Place) -> dict[str, Any]:
    return {"trusted_proxies": {"source": "static", "ranges": [FRONT]}} if place.is_proxied else {}


def caddy(place: Place) -> dict[str, Any]:
    """Return a plain proxy without any authentication."""
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "storage": {"module": "file_system", "root": str(place.folder)},
        "logging": {
            "logs": {
                "default": {"level": "ERROR"},
                "access": {
                    "writer": {"output": "file", "filename": str(place.folder / "access.log"), "roll": False},
                    "encoder": {"format": "json"},
                    "include": ["http.log.access"],
                },
            }
        },
        "apps": {
            "http": {
                "servers": {
                    "public": {
                        "listen": [f"127.0.0.1:{place.port}"],
                        "automatic_https": {"disable": True},
                        "protocols": ["h1"],
                        **_caddy_trust(place),
                        "logs": {},
                        "routes": [
                            {
                                "handle": [
                                    {
                                        "handler": "reverse_proxy",
                                        "upstreams": [{"dial": f"127.0.0.1:{place.material.upstream_port}"}],
                                        "transport": {
                                            "protocol": "http",
                                            "keep_alive": {"max_idle_conns_per_host": 128},
                                        },
                                    }
                                ]
                            }
                        ],
                    }
                }
            }
        },
    }


def gateway(place: Place) -> dict[str, Any]:
    """Return the gateway in its normal configuration: denylist, identity headers, metrics, audit, access log.

    The embedded store runs beside it on the same core. Only the bound on connections is raised, so that the
    10,000 idle ones leave room for the request that looks.
    """
    material = place.material
    data: dict[str, Any] = {
        "public_url": [place.origin],
        "listen": f"127.0.0.1:{place.port}",
        "admin": {"listen": f"127.0.0.1:{place.admin_port}"},
        "secret_keys": [material.secret_key],
        "state_dir": str(place.folder / "state"),
        "providers": {
            "bench": {
                "issuer": material.issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "scopes": ["openid", "profile", "email", "offline_access", "api"],
                "audiences": [AUDIENCE],
            }
        },
        "upstreams": {
            "app": {"servers": [f"http://127.0.0.1:{material.upstream_port}"]},
            "auxiliary": {"servers": [f"http://127.0.0.1:{material.auxiliary_port}"]},
        },
        "routes": [
            {"path": "/public/", "upstream": "app", "access": "public"},
            {
                "path": "/api/",
                "upstream": "app",
                "access": "required",
                "unauthenticated": "reject",
                "require": {"scopes": ["api"]},
            },
            {"path": "/admin/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
            {"path": WEBSOCKET, "upstream": "auxiliary", "access": "required"},
            {"path": UPLOAD, "upstream": "auxiliary", "access": "required"},
            {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
        ],
        "limits": {"connections": MOST_CONNECTIONS},
    }
    if place.is_proxied:
        data["trusted_proxies"] = [FRONT]
    if place.tls:
        data["tls"] = {
            "certificate": str(material.folder / "certificate.pem"),
            "key": str(material.folder / "key.pem"),
        }
    return data
