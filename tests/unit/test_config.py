"""The settings' models and what is checked across them."""

import base64
import copy
import json

import pytest
from pydantic import ValidationError

from gateway.config.checks.every import warn
from gateway.config.checks.problems import shown_path, suggestion
from gateway.config.checks.several_providers import ENDPOINTS
from gateway.config.settings.base import parse_duration
from gateway.config.settings.root import Settings
from gateway.core import decide
from gateway.core.runtime import compile_settings
from gateway.core.runtime import problems as check
from gateway.edge.configfile.schema import schema
from gateway.syntax.urls import (
    are_everybody,
    authority_of,
    collide,
    is_loopback,
    judge_listen,
    judge_network,
    judge_origin,
    judge_url,
    parse_listen,
    split_url,
)
from tests.support.client_keys import pem
from tests.support.configuration import TREE

KEY = base64.b64encode(bytes((7 * n + 3) % 256 for n in range(32))).decode()
OTHER_KEY = base64.urlsafe_b64encode(bytes((11 * n + 5) % 256 for n in range(32))).decode().rstrip("=")

BASE = {
    "public_url": "https://app.example.com",
    "listen": "0.0.0.0:8080",
    "admin": {"token": "0123456789abcdefghijkl"},
    "secret_keys": [KEY],
    "providers": {
        "corporate": {
            "issuer": "https://login.example.com",
            "client_id": "app",
            "client_secret": "s3cr3t",
            "audiences": ["api"],
        }
    },
    "upstreams": {"app": {"servers": ["http://127.0.0.1:3000"]}},
    "routes": [{"path": "/", "upstream": "app", "access": "required"}],
}
NAMED = {"token": "abcdefghijklmnopqrstuvwxyz", "role": "read"}
ROUTE = {"path": "/x/", "upstream": "app", "access": "required"}
KEYED = {
    "providers/corporate/client_auth": "private_key_jwt",
    "providers/corporate/signing_keys": [pem()],
}
SIGNED = KEYED | {"providers/corporate/client_secret": None}


def with_changes(changes: dict) -> Settings:
    """Return settings with values replaced by dotted path; numbers are places in lists."""
    data = copy.deepcopy(BASE)
    for path, value in changes.items():
        place = data
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in parents:
            place = place[part] if isinstance(place, list) else place.setdefault(part, {})
        if value is None:
            del place[last]
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return Settings.model_validate(data)


def problems(changes: dict) -> list[str]:
    return [shown_path(problem.path) for problem in check(with_changes(changes))]


def test_the_base_is_good():
    """Without changes there is no problem, so each case below is about its change alone."""
    assert check(with_changes({})) == []
    assert warn(with_changes({})) == []


CASES = [
    # networks by name, see [12.sessions]
    ({"networks": {"Office": ["10.0.0.0/33"]}}, "networks.Office[0]"),
    ({"networks": {"Office": ["10.0.0.1/8"]}}, "networks.Office[0]"),
    ({"networks": {"Office": ["0.0.0.0/0"]}}, "networks.Office[0]"),
    ({"networks": {"Office": ["::ffff:0:0/96"]}}, "networks.Office[0]"),
    ({"networks": {"Office": []}}, "networks.Office"),
    ({"networks": {"Office": ["10.0.0.0/8"], "VPN": ["10.0.0.0/8"]}}, "networks.VPN[0]"),
    ({"networks": {" Office": ["10.0.0.0/8"]}}, "networks.?"),
    # public URLs, see R13, R39
    ({"public_url": "http://app.example.com"}, "public_url[0]"),
    ({"public_url": "http://10.0.0.1"}, "public_url[0]"),
    ({"public_url": "http://127.0.0.1.example.com"}, "public_url[0]"),
    ({"public_url": "http://127.1"}, "public_url[0]"),
    ({"public_url": "ftp://app.example.com"}, "public_url[0]"),
    ({"admin/hosts": ["https://x.example"]}, "admin.hosts[0]"),
    ({"admin/hosts": ["x.example", "x.example:9090"]}, "admin.hosts[1]"),
    ({"admin/hosts": [" "]}, "admin.hosts[0]"),
    ({"log/claims": [" email"]}, "log.claims[0]"),
    ({"log/request_headers": ["User Agent"]}, "log.request_headers[0]"),
    ({"log/request_headers": ["Accept", "Cookie"]}, "log.request_headers[1]"),
    ({"log/request_headers": ["AUTHORIZATION"]}, "log.request_headers[0]"),
    ({"log/request_headers": ["X-Api-Key"]}, "log.request_headers[0]"),
    ({"log/request_headers": ["X-Amzn-Oidc-Accesstoken"]}, "log.request_headers[0]"),
    ({"public_url": "app.example.com"}, "public_url[0]"),
    ({"public_url": "https://app.example.com/path"}, "public_url[0]"),
    ({"public_url": "https://app.example.com?x"}, "public_url[0]"),
    ({"public_url": "https://app.example.com#x"}, "public_url[0]"),
    ({"public_url": "https://user@app.example.com"}, "public_url[0]"),
    ({"public_url": "https://app.example.com:99999"}, "public_url[0]"),
    ({"public_url": "https://app.example.com:"}, "public_url[0]"),
    ({"public_url": "https://bücher.example"}, "public_url[0]"),
    ({"public_url": "https://*.example.com"}, "public_url[0]"),
    ({"public_url": ["https://a.example", "https://A.example:443/"]}, "public_url[1]"),
    ({"public_url": ["https://a.example", "https://a.example:8443"]}, "public_url[1]"),
    # listeners, see R62
    ({"listen": "8080"}, "listen"),
    ({"listen": ":8080"}, "listen"),
    ({"listen": "::1:8080"}, "listen"),
    ({"listen": "0.0.0.0:65536"}, "listen"),
    ({"listen": "host name:80"}, "listen"),
    ({"admin/listen": "x"}, "admin.listen"),
    # what balancers ask, see 3.8
    ({"health_path": "/"}, "health_path"),
    ({"health_path": "healthz"}, "health_path"),
    ({"health_path": "/health?z"}, "health_path"),
    ({"health_path": "/a//b"}, "health_path"),
    ({"health_path": "/%61"}, "health_path"),
    ({"health_path": "/.gateway/healthz"}, "health_path"),
    ({"admin/listen": "127.0.0.1:8080"}, "admin.listen"),
    ({"listen": "127.0.0.1:9090"}, "admin.listen"),
    ({"admin/token": "short"}, "admin.token"),
    ({"admin/token": "sixteen chars äß"}, "admin.token"),
    ({"admin/tokens": {"alice": {"token": "short", "role": "read"}}}, "admin.tokens.alice.token"),
    ({"admin/tokens": {"token": NAMED}}, "admin.tokens.token"),
    ({"admin/tokens": {"<b>": NAMED}}, "admin.tokens.?"),
    ({"admin/tokens": {"ali\u202ece": NAMED}}, "admin.tokens.?"),
    ({"admin/tokens": {"x" * 65: NAMED}}, "admin.tokens.?"),
    ({"admin/tokens": {"alice": NAMED | {"expires": "tomorrow"}}}, "admin.tokens.alice.expires"),
    ({"admin/tokens": {"alice": NAMED | {"expires": "2027-02-30"}}}, "admin.tokens.alice.expires"),
    ({"admin/tokens": {"alice": NAMED, "bob": NAMED}}, "admin.tokens.bob.token"),
    ({"admin/tokens": {"bob": NAMED | {"token": "0123456789abcdefghijkl"}}}, "admin.tokens.bob.token"),
    # prefix
    ({"prefix": "/"}, "prefix"),
    ({"prefix": "//"}, "prefix"),
    ({"prefix": "/x"}, "prefix"),
    ({"prefix": "x/"}, "prefix"),
    ({"prefix": "/x/../"}, "prefix"),
    # trusted proxies
    ({"trusted_proxies": ["0.0.0.0/0"]}, "trusted_proxies[0]"),
    ({"trusted_proxies": ["10.0.0.0/8", "::/0"]}, "trusted_proxies[1]"),
    ({"trusted_proxies": ["::ffff:0:0/96"]}, "trusted_proxies[0]"),
    ({"trusted_proxies": ["0.0.0.0/1", "128.0.0.0/1"]}, "trusted_proxies"),
    ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies[0]"),
    ({"trusted_proxies": ["proxy"]}, "trusted_proxies[0]"),
    ({"proxy_protocol": ["0.0.0.0/0"]}, "proxy_protocol[0]"),
    ({"proxy_protocol": ["10.0.0.0/8", "balancer"]}, "proxy_protocol[1]"),
    ({"proxy_protocol": ["0.0.0.0/1", "128.0.0.0/1"]}, "proxy_protocol"),
    # which of their fields count
    ({"forwarding": {"address": "Host"}}, "forwarding.address"),
    ({"forwarding": {"address": "cookie"}}, "forwarding.address"),
    ({"forwarding": {"address": "X-Forwarded-Host"}}, "forwarding.address"),
    ({"forwarding": {"address": "X Real IP"}}, "forwarding.address"),
    ({"forwarding": {"address": "x_forwarded_user"}}, "forwarding.address"),
    ({"forwarding": {"address": "CDN-Loop"}}, "forwarding.address"),
    ({"forwarding": {"address": "X-Purpose"}}, "forwarding.address"),
    ({"forwarding": {"address": "X-HTTP-Method"}}, "forwarding.address"),
    ({"forwarding": {"scheme": "Forwarded"}}, "forwarding.scheme"),
    ({"forwarding": {"host": "Forwarded"}}, "forwarding.host"),
    # fields of clients
    ({"client_headers": {"drop": ["X y"]}}, "client_headers.drop[0]"),
    ({"client_headers": {"drop": ["*"]}}, "client_headers.drop[0]"),
    ({"client_headers": {"drop": ["X-*-Y"]}}, "client_headers.drop[0]"),
    ({"client_headers": {"drop": ["Cookie"]}}, "client_headers.drop[0]"),
    ({"client_headers": {"drop": ["Sec-*"]}}, "client_headers.drop[0]"),
    ({"client_headers": {"drop": ["X-Purpose"]}}, "client_headers.drop[0]"),
    ({"client_headers": {"drop": ["X_Mo*"]}}, "client_headers.drop[0]"),
    ({"client_headers": {"keep": ["X-Pomerium-*"]}}, "client_headers.keep[0]"),
    ({"client_headers": {"keep": ["X-App"]}}, "client_headers.keep[0]"),
    ({"client_headers": {"keep": ["X-Forwarded-User"]}}, "client_headers.keep[0]"),
    ({"client_headers": {"keep": ["Host"]}}, "client_headers.keep[0]"),
    # keys
    ({"secret_keys": ["AAAA"]}, "secret_keys[0]"),
    ({"secret_keys": ["not base64 at all!"]}, "secret_keys[0]"),
    ({"secret_keys": ["ä" * 43]}, "secret_keys[0]"),
    ({"secret_keys": [KEY, base64.b64encode(bytes(33)).decode()]}, "secret_keys[1]"),
    ({"secret_keys": [base64.b64encode(bytes(32)).decode()]}, "secret_keys[0]"),
    ({"secret_keys": [base64.b64encode(b"\x80\x01" * 16).decode()]}, "secret_keys[0]"),
    ({"secret_keys": [base64.b64encode(b"correct horse battery staple 123").decode()]}, "secret_keys[0]"),
    ({"secret_keys": [KEY, OTHER_KEY, KEY]}, "secret_keys[2]"),
    # store
    ({"redis/url": "localhost:6379"}, "redis.url"),
    ({"redis/url": "http://localhost"}, "redis.url"),
    ({"redis/url": "redis://host:99999"}, "redis.url"),
    ({"redis": {"url": "redis://h", "prefix": "{x}"}}, "redis.prefix"),
    # providers, see R8, R18
    ({"providers/corporate/issuer": "http://login.example.com"}, "providers.corporate.issuer"),
    ({"providers/corporate/issuer": "https://login.example.com?x=1"}, "providers.corporate.issuer"),
    (
        {"providers/corporate/issuer": "https://login.example.com/.well-known/openid-configuration"},
        "providers.corporate.issuer",
    ),
    ({"providers/corporate/token_endpoint": "http://login.internal/t"}, "providers.corporate.token_endpoint"),
    ({"providers/corporate/jwks_uri": "file:///etc/passwd"}, "providers.corporate.jwks_uri"),
    ({"providers/corporate/algorithms": ["RS256", "none"]}, "providers.corporate.algorithms[1]"),
    ({"providers/corporate/algorithms": ["HS256"]}, "providers.corporate.algorithms[0]"),
    ({"providers/corporate/client_secret": None}, "providers.corporate.client_secret"),
    ({"providers/corporate/client_auth": "none"}, "providers.corporate.client_auth"),
    ({"providers/corporate/scopes": ["openid profile"]}, "providers.corporate.scopes[0]"),
    # the gateway as a client, see R15
    (KEYED, "providers.corporate.client_auth"),
    (SIGNED | {"providers/corporate/signing_keys": []}, "providers.corporate.signing_keys"),
    (SIGNED | {"providers/corporate/signing_keys": [pem(), "secret"]}, "providers.corporate.signing_keys[1]"),
    (SIGNED | {"providers/corporate/signing_algorithm": "RS256"}, "providers.corporate.signing_algorithm"),
    ({"providers/corporate/signing_keys": [pem()]}, "providers.corporate.signing_keys"),
    ({"providers/corporate/signing_algorithm": "ES256"}, "providers.corporate.signing_algorithm"),
    ({"providers/corporate/assertion_audience": "endpoint"}, "providers.corporate.assertion_audience"),
    (SIGNED | {"providers/corporate/callback": "/.gateway/jwks/x"}, "providers.corporate.callback"),
    (
        {"providers/corporate/client_auth": "tls_client_auth", "providers/corporate/client_secret": None},
        "providers.corporate.client_certificate",
    ),
    (
        {
            "providers/corporate/client_auth": "tls_client_auth",
            "providers/corporate/client_certificate": "own.crt",
        },
        "providers.corporate.client_auth",
    ),
    ({"providers/corporate/client_key": "own.key"}, "providers.corporate.client_key"),
    ({"providers/corporate/resources": ["api"]}, "providers.corporate.resources[0]"),
    ({"providers/corporate/resources": ["https://a/", "https://a/#x"]}, "providers.corporate.resources[1]"),
    ({"providers/corporate/resources": ["urn:a", "urn:b", "urn:a"]}, "providers.corporate.resources[2]"),
    (
        {
            "providers/corporate/resources": ["urn:a"],
            "providers/corporate/extra_authorization_parameters": {"resource": "urn:b"},
        },
        "providers.corporate.extra_authorization_parameters.resource",
    ),
    (
        {"routes/1": ROUTE | {"extra_authorization_parameters": {"prompt": "login", "nonce": "x"}}},
        "routes[1].extra_authorization_parameters.nonce",
    ),
    (
        {"routes/1": ROUTE | {"extra_authorization_parameters": {"resource": "urn:a"}}},
        "routes[1].extra_authorization_parameters.resource",
    ),
    (
        {"providers/corporate/extra_authorization_parameters": {"state": "x"}},
        "providers.corporate.extra_authorization_parameters.state",
    ),
    ({"providers/other": BASE["providers"]["corporate"]}, "providers.other.issuer"),
    ({"providers/corporate/jwks_max_stale": "1m"}, "providers.corporate.jwks_max_stale"),
    # sessions, see R42
    ({"session/idle_lifetime": "8d"}, "session.idle_lifetime"),
    ({"session/without_refresh": "8d"}, "session.without_refresh"),
    ({"session/without_refresh": "9h"}, "session.without_refresh"),
    ({"session/without_refresh": "2h", "session/claims_max_age": "1h"}, "session.without_refresh"),
    ({"session/refresh_before_expiry": "8h"}, "session.refresh_before_expiry"),
    ({"session/rotation_grace": "9h"}, "session.rotation_grace"),
    ({"session/rotation_grace": "59s"}, "session.rotation_grace"),
    ({"session/refresh_before_expiry": "90s"}, "session.rotation_grace"),
    ({"session/login_lifetime": "8d"}, "session.login_lifetime"),
    # upstreams, see R55
    ({"upstreams/app/servers": ["http://127.0.0.1:3000/base"]}, "upstreams.app.servers[0]"),
    ({"upstreams/app/servers": ["http://u:p@127.0.0.1"]}, "upstreams.app.servers[0]"),
    ({"upstreams/app/servers": ["127.0.0.1:3000"]}, "upstreams.app.servers[0]"),
    ({"upstreams/app/servers": ["http://a", "http://A:80/"]}, "upstreams.app.servers[1]"),
    # routes, see R56
    ({"routes/1": ROUTE | {"path": "x"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/a//b"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/a/../b"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/a/%2e%2e/b"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/%61"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/a?b"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/a;b"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/a/*"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/ü"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/.gateway/x"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"path": "/.gateway"}}, "routes[1].path"),
    ({"routes/1": ROUTE | {"upstream": "ap"}}, "routes[1].upstream"),
    ({"routes/1": ROUTE | {"provider": "corporat"}}, "routes[1].provider"),
    ({"routes/1": ROUTE | {"hosts": ["App.example.com"]}}, "routes[1].hosts[0]"),
    ({"routes/1": ROUTE | {"hosts": ["app.example.com/x"]}}, "routes[1].hosts[0]"),
    ({"routes/1": ROUTE | {"hosts": ["*"]}}, "routes[1].hosts[0]"),
    (
        {"routes/1": ROUTE | {"hosts": ["other.example.com"], "unauthenticated": "login"}},
        "routes[1].hosts[0]",
    ),
    ({"routes/1": ROUTE | {"hosts": ["*.example.com"], "unauthenticated": "login"}}, "routes[1].hosts[0]"),
    ({"routes/1": ROUTE | {"methods": ["get"]}}, "routes[1].methods[0]"),
    ({"routes/1": ROUTE | {"methods": ["GET", "CONNECT"]}}, "routes[1].methods[1]"),
    ({"routes/1": ROUTE | {"require": {}}}, "routes[1].require"),
    ({"routes/1": ROUTE | {"access": "public", "require": {"scopes": ["a"]}}}, "routes[1].require"),
    ({"routes/1": ROUTE | {"access": "optional", "require": {"scopes": ["a"]}}}, "routes[1].require"),
    ({"routes/1": ROUTE | {"require": {"scopes": ["a b"]}}}, "routes[1].require.scopes[0]"),
    ({"routes/1": ROUTE | {"require": {"methods": ["TRACE"]}}}, "routes[1].require.methods[0]"),
    ({"routes/1": ROUTE | {"path": "/"}}, "routes[1].path"),
    ({"routes/1": ROUTE, "routes/2": ROUTE | {"path": "/x"}}, "routes[2].path"),
    (
        {"routes/1": ROUTE | {"methods": ["GET"]}, "routes/2": ROUTE | {"methods": ["HEAD"]}},
        "routes[2].path",
    ),
    # CORS, see R48
    ({"routes/1": ROUTE | {"preflight": {"origins": ["*"]}}}, "routes[1].preflight.origins[0]"),
    ({"routes/1": ROUTE | {"preflight": {"origins": ["null"]}}}, "routes[1].preflight.origins[0]"),
    ({"routes/1": ROUTE | {"preflight": {"origins": ["https://a/"]}}}, "routes[1].preflight.origins[0]"),
    (
        {"routes/1": ROUTE | {"preflight": {"origins": ["https://a"], "headers": ["*"]}}},
        "routes[1].preflight.headers[0]",
    ),
    # identity headers, see R53, R58
    *(
        ({"identity_headers": {name: "sub"}}, f"identity_headers.{name}")
        for name in (
            "Host",
            "cookie",
            "Authorization",
            "Connection",
            "Transfer_Encoding",
            "Content-Length",
            "X-Forwarded-For",
            "X_Forwarded_Proto",
            "Proxy-Authorization",
            "Sec-Fetch-Mode",
            "X-Forwarded-Prefix",
            "X-Purpose",
            "purpose",
            "X_Requested_With",
            "CDN-Loop",
            "X-HTTP-Method",
        )
    ),
    ({"identity_headers": {"X User": "sub"}}, "identity_headers.?"),
    ({"identity_headers": {"X-User": "sub", "x_user": "email"}}, "identity_headers.x_user"),
    ({"identity_headers": {"X-User": "a b"}}, "identity_headers.X-User"),
    ({"groups_claim": "a b"}, "groups_claim"),
    # what upstreams get as Authorization, see [11.9]
    ({"routes/1": ROUTE | {"access": "public", "authorization": "access_token"}}, "routes[1].authorization"),
    *(
        ({"routes/1": ROUTE | {"authorization": authorization}}, f"routes[1].authorization{place}")
        for authorization, place in (
            ({}, ""),
            ({"value": "Bearer x", "basic": {"username": "sub", "password": "x"}}, ""),
            ({"value": "x"}, ".value"),
            ({"value": "Bearer x\r\nA: b"}, ".value"),
            ({"basic": {"username": "sub"}}, ".basic"),
            ({"basic": {"username": "sub", "password": "x", "password_claim": "y"}}, ".basic"),
            ({"basic": {"username": "a b", "password": "x"}}, ".basic.username"),
            ({"basic": {"username": "sub", "password_claim": "a b"}}, ".basic.password_claim"),
            ({"basic": {"username": "sub", "password": "a\nb"}}, ".basic.password"),
            ({"exchange": {}}, ".exchange"),
            ({"exchange": {"audience": "a b"}}, ".exchange.audience"),
            ({"exchange": {"resource": "orders"}}, ".exchange.resource"),
            ({"exchange": {"resource": "https://a#b"}}, ".exchange.resource"),
            ({"exchange": {"audience": "a", "scopes": ["a b"]}}, ".exchange.scopes[0]"),
        )
    ),
    *(
        ({"routes/1": ROUTE | {"access": "public", "authorization": each}}, "routes[1].authorization")
        for each in (
            {"basic": {"username": "sub", "password": "x"}},
            {"exchange": {"audience": "a"}},
        )
    ),
    # what is signed for upstreams, see [11.9]
    ({"assertions": {"header": "Authorization"}}, "assertions.header"),
    ({"assertions": {"header": "x_forwarded_user"}}, "assertions.header"),
    ({"assertions": {"header": "X A"}}, "assertions.header"),
    ({"assertions": {"issuer": "a b"}}, "assertions.issuer"),
    ({"upstreams/app/assertion": {"audience": "a b"}}, "upstreams.app.assertion.audience"),
    ({"upstreams/app/assertion": {"claims": ["email", "exp"]}}, "upstreams.app.assertion.claims[1]"),
    ({"upstreams/app/assertion": {"claims": ["a b"]}}, "upstreams.app.assertion.claims[0]"),
    ({"routes/1": ROUTE | {"request_headers": {"x_gateway_assertion": "x"}}}, "assertions.header"),
    # the same of one route, and what it sets in requests and responses, see [11.9]
    *(
        ({"routes/1": ROUTE | {"identity_headers": headers}}, f"routes[1].identity_headers.{name}")
        for headers, name in (
            ({"Cookie": "sub"}, "Cookie"),
            ({"X-A": "sub", "X_A": "sub"}, "X_A"),
            ({"X A": "sub"}, "?"),
            ({"X-A": "a b"}, "X-A"),
        )
    ),
    (
        {"routes/1": ROUTE | {"access": "public", "identity_headers": {"X-A": "sub"}}},
        "routes[1].identity_headers",
    ),
    *(
        ({"routes/1": ROUTE | {"request_headers": {name: value}}}, f"routes[1].request_headers.{name}")
        for name, value in (
            ("Host", "x"),
            ("Cookie", "x"),
            ("Authorization", "Bearer x"),
            ("Content-Length", "1"),
            ("Accept", "x"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("X_Forwarded_User", "root"),
            ("X-A", " x"),
            ("X-A", "x\r\nX-B: y"),
            ("X-A", "\u00e9"),
        )
    ),
    ({"routes/1": ROUTE | {"request_headers": {"X-A": "1", "x_a": "2"}}}, "routes[1].request_headers.x_a"),
    *(
        ({"routes/1": ROUTE | {"response_headers": {name: value}}}, f"routes[1].response_headers.{name}")
        for name, value in (
            ("Set-Cookie", "a=b"),
            ("set_cookie", "a=b"),
            ("Content-Length", "1"),
            ("Transfer-Encoding", None),
            ("Connection", "close"),
            ("X-Request-ID", "1"),
            ("X-A", "x\n"),
            ("X-A", "x\r\nX-B: y"),
        )
    ),
    (
        {"routes/1": ROUTE | {"response_headers": {"X-A": "1", "x-a": "2"}}},
        "routes[1].response_headers.x-a",
    ),
    (
        {
            "routes/1": ROUTE
            | {
                "cors": "answer",
                "preflight": {"origins": ["https://a"]},
                "response_headers": {"Access-Control-Allow-Origin": "https://b"},
            }
        },
        "routes[1].response_headers.Access-Control-Allow-Origin",
    ),
    (
        {
            "client_headers": {"keep": ["Remote-User"]},
            "routes/1": ROUTE | {"request_headers": {"remote_user": "x"}},
        },
        "client_headers.keep[0]",
    ),
    (
        {"forwarding": {"address": "X-Peer"}, "routes/1": ROUTE | {"identity_headers": {"x_peer": "sub"}}},
        "forwarding.address",
    ),
]


@pytest.mark.parametrize(("changes", "path"), CASES)
def test_each_fault_is_found_at_its_setting(changes, path):
    """Each change is a problem at its own path, and nowhere else (R13, R18, R24, R48, R53, R55, R56, R62)."""
    assert problems(changes) == [path]


GOOD = [
    {"public_url": ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:8080"]},
    {"public_url": ["https://a.example", "https://b.example:8443/"]},
    {"public_url": "http://app.internal", "allow_insecure_http": True},
    {"listen": "[::1]:8080"},
    {"listen": "gateway-1.internal:8080"},
    {"listen": "127.0.0.2:9090"},
    {"trusted_proxies": ["10.0.0.0/8", "192.0.2.7", "fc00::/7"], "forwarding": {}},
    {
        "trusted_proxies": ["10.0.0.1"],
        "forwarding": {"address": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"},
    },
    {"trusted_proxies": ["10.0.0.1"], "forwarding": {"address": "CF-Connecting-IP", "scheme": "none"}},
    {"secret_keys": [KEY, OTHER_KEY]},
    {"redis/url": "rediss://user:pass@redis.internal:6380/1"},
    {"redis/url": "unix:///run/valkey.sock?db=0"},
    {"providers/corporate/issuer": "http://127.0.0.1:8081"},
    {"providers/corporate/client_secret": None, "providers/corporate/client_auth": "none"},
    SIGNED,
    SIGNED | {"providers/corporate/assertion_audience": "endpoint"},
    SIGNED
    | {
        "providers/corporate/signing_keys": [pem("RS"), pem()],
        "providers/corporate/signing_algorithm": "PS256",
    },
    {
        "providers/corporate/client_secret": None,
        "providers/corporate/client_auth": "tls_client_auth",
        "providers/corporate/client_certificate": "own.pem",
    },
    {"providers/corporate/client_certificate": "own.crt", "providers/corporate/client_key": "own.key"},
    {"providers/corporate/resources": ["urn:a", "https://api.example.com/v1?x=1"]},
    {"routes/1": ROUTE | {"extra_authorization_parameters": {"prompt": "login", "acr_values": "high"}}},
    {"providers/corporate/algorithms": ["EdDSA", "PS512"]},
    {"routes/1": ROUTE | {"path": "/a/%C3%BC/"}},
    {"routes/1": ROUTE | {"hosts": ["*.example.com", "other:8080", "[::1]"], "unauthenticated": "reject"}},
    {"routes/1": ROUTE | {"hosts": ["app.example.com"], "unauthenticated": "login"}},
    {
        "routes/1": ROUTE,
        "routes/2": ROUTE | {"methods": ["POST"]},
        "routes/3": ROUTE | {"hosts": ["a.b"], "unauthenticated": "reject"},
    },
    {"routes/1": ROUTE | {"preflight": {"origins": ["https://a.example:8443"]}}},
    {"routes/1": ROUTE | {"preflight": "forward"}},
    {"routes/1": ROUTE | {"require": {"claims": {"email_verified": True, "org": ["a", "b"], "n": 5}}}},
    {"identity_headers": {"X-User": "sub", "X-Roles": "realm_access.roles"}},
    {"identity_headers": {}},
]


@pytest.mark.parametrize(
    ("more", "hosts", "is_wrong"),
    [
        ({}, ["other.example.com"], True),
        ({}, ["app.example.com:8443"], True),
        ({}, ["*.other.example"], True),
        ({}, ["app.example.com", "other.example.com"], True),
        ({}, ["*.example.com"], False),
        ({}, ["app.example.com"], False),
        ({}, ["app.example.com:443"], False),
        ({"unauthenticated": "reject"}, ["other.example.com"], False),
        ({"access": "public"}, ["other.example.com"], False),
        ({"access": "optional"}, ["other.example.com"], False),
    ],
)
def test_a_host_that_can_never_log_in(more, hosts, is_wrong):
    """[4.10]: a route that needs an identity under a host to which no login returns is an error."""
    found = problems({"routes/1": ROUTE | {"hosts": hosts} | more})
    assert bool(found) == is_wrong
    assert all(each.startswith("routes[1].hosts") for each in found)


@pytest.mark.parametrize(
    ("more", "is_told"),
    [
        ({"preflight": "forward"}, True),
        ({"websocket_origins": ["https://spa.example.com"]}, True),
        ({"preflight": "forward", "access": "optional"}, True),
        ({"preflight": "forward", "unsafe_from": "same-origin"}, False),
        ({"preflight": "forward", "unsafe_from": "anywhere"}, False),
        ({"preflight": "forward", "access": "public"}, False),
        ({"preflight": {"origins": ["https://spa.example.com"]}}, False),
        (
            {
                "preflight": {"origins": ["https://spa.example.com"]},
                "websocket_origins": ["https://spa.example.com"],
            },
            False,
        ),
        ({}, False),
    ],
)
def test_pages_of_other_origins_are_thought_of(more, is_told):
    """R81 [1.19]: ``check`` warns where pages of other origins are expected, and may change nothing."""
    found = warn(with_changes({"routes/0": ROUTE | {"path": "/"} | more}))
    assert any("unsafe_from" in str(each) for each in found) == is_told


@pytest.mark.parametrize("changes", GOOD)
def test_what_is_good_passes(changes):
    """No check forbids what a sensible configuration says."""
    assert problems(changes) == []


def test_every_problem_at_once():
    """One look shows all faults of a configuration, not the first."""
    changes = {}
    paths = []
    for change, path in CASES:
        if not set(change) & set(changes) and not any(key.startswith("routes") for key in change):
            trial = changes | change
            found = problems(trial)
            if all(each in found for each in [*paths, path]):
                changes, paths = trial, [*paths, path]
    assert len(paths) > 12
    assert set(paths) <= set(problems(changes))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"admin": {"listen": "0.0.0.0:9090"}}, "admin.listen"),
        ({"allow_insecure_http": True}, "allow_insecure_http"),
        ({"routes/0/access": "public"}, "routes"),
        ({"denylist/max_staleness": "1s"}, "denylist.max_staleness"),
        ({"secret_keys": [base64.b64encode(bytes(range(32))).decode()]}, "secret_keys[0]"),
        (
            {"routes/1": ROUTE | {"response_headers": {"Cache-Control": "max-age=1, Public"}}},
            "routes[1].response_headers.Cache-Control",
        ),
        (
            {
                "upstreams/app/assertion": {},
                "upstreams/other": {"servers": ["http://u:1"], "assertion": {"audience": "app"}},
            },
            "upstreams.other.assertion.audience",
        ),
    ],
)
def test_warnings(changes, path):
    """What is hardly meant is told and forbids nothing."""
    settings = with_changes(changes)
    assert check(settings) == []
    assert [shown_path(each.path) for each in warn(settings)] == [path]


def test_user_names_of_several_providers():
    """[11.9]: Basic credentials do not tell whose alice it is."""
    second = BASE["providers"]["corporate"] | {"issuer": "https://second.example.com"}
    basic = ROUTE | {"authorization": {"basic": {"username": "sub", "password": "x"}}}
    for more, is_told in (({}, True), ({"provider": "second"}, False)):
        found = warn(with_changes({"providers/second": second, "routes/1": basic | more}))
        assert ("routes[1].authorization.basic" in [shown_path(each.path) for each in found]) is is_told


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"trusted_proxies": ["10.0.0.1"]}, ["trusted_proxies"]),
        ({"trusted_proxies": ["10.0.0.1"], "forwarding": {}}, []),
        ({"forwarding": {"host": "X-Forwarded-Host"}}, ["forwarding"]),
        ({"forwarding": {}}, []),
        ({"client_headers": {"keep": ["Remote-User"]}}, ["client_headers.keep[0]"]),
    ],
)
def test_r64_which_fields_count_is_to_be_written(changes: dict, found: list[str]):
    """R64 [1.1]: files of before, in which more fields counted, are told of the setting."""
    warnings = warn(with_changes(changes))
    assert [shown_path(each.path) for each in warnings] == found
    assert all("$proxy_host" in each.message for each in warnings if found == ["trusted_proxies"])


PARTNER = {
    "issuer": "https://partner.example.com",
    "client_id": "web",
    "client_secret": "s",
    "audiences": ["api"],
    "callback": "/.gateway/callback/partner",
}


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({}, ["identity_headers"]),
        ({"identity_headers": {"X-Forwarded-User": "sub", "X-Issuer": "iss"}}, []),
        ({"routes/0/provider": "partner"}, ["routes[0].provider"]),
        ({"routes/0/providers": ["partner"]}, []),
        ({"routes/0/provider": "partner", "routes/0/providers": ["partner"]}, []),
        ({"routes/0/providers": ["partner", "corporate"]}, ["identity_headers"]),
        ({"routes/0/require": {"claims": {"iss": "https://partner.example.com"}}}, []),
        ({"routes/0/require": {"groups": ["admins"]}}, ["identity_headers"]),
        (
            {
                "providers/partner": PARTNER | {"response_mode": "form_post"},
                "routes/0/providers": ["partner"],
            },
            [],
        ),
    ],
)
def test_r70_several_providers_are_warned_of(changes, paths):
    """R70 [1.8]: nothing tells issuers apart where several come in: the same name may be two people."""
    settings = with_changes({"providers/partner": PARTNER, **changes})
    assert check(settings) == []
    assert [shown_path(each.path) for each in warn(settings)] == paths


def test_r70_disjoint_providers_on_one_site_are_warned_of():
    """R70 [1.8]: one browser has one session for a site, so two parts of it log each other out."""

    def routes(second: dict) -> list[dict]:
        both = [{"path": "/a/", "providers": ["corporate"]}, {"path": "/b/", **second}]
        return [{"upstream": "app", "access": "required", **each} for each in both]

    def found(second: dict) -> list[str]:
        settings = with_changes({"providers/partner": PARTNER, "routes": routes(second)})
        return [shown_path(each.path) for each in warn(settings)]

    assert found({"providers": ["partner"]}) == ["routes[1]"]
    assert found({"providers": ["corporate"]}) == []
    assert found({"providers": ["corporate", "partner"]}) == ["identity_headers"]
    assert found({"provider": "partner", "access": "public"}) == ["routes[1].provider"]
    for hosts in (
        ["app.example.com"],
        ["app.example.com:443"],
        ["*.example.com"],
        ["x.y", "app.example.com"],
    ):
        assert found({"providers": ["partner"], "hosts": hosts}) == ["routes[1]"], hosts
    assert found({"providers": ["partner"], "hosts": ["x.example.com"], "unauthenticated": "reject"}) == []


@pytest.mark.parametrize(
    ("one", "other", "is_told"),
    [
        (["app.example.com"], ["*.example.com"], True),
        (["app.example.com"], ["app.example.com:443"], True),
        (["*.example.com"], ["app.example.com:443"], True),
        (["app.example.com"], ["two.example.com"], False),
        (["app.example.com"], None, True),
    ],
)
def test_r70_hosts_that_overlap_are_one_site(one, other, is_told):
    """R70 [1.8]: a wildcard and a host without a port are of the same site as the host that they cover."""
    hosts = ({"hosts": one}, {"hosts": other} if other else {})
    settings = with_changes(
        {
            "public_url": ["https://app.example.com", "https://two.example.com"],
            "providers/partner": PARTNER,
            "routes": [
                {"path": path, "providers": [name], "upstream": "app", "access": "required", **more}
                for path, name, more in zip(("/a/", "/b/"), ("corporate", "partner"), hosts, strict=True)
            ],
        }
    )
    assert [shown_path(each.path) for each in warn(settings)] == (["routes[1]"] if is_told else [])


@pytest.mark.parametrize(
    ("callback", "found"),
    [
        ("/.gateway/callback/partner", []),
        ("/.gateway/back", []),
        ("/.gateway/callback", ["providers.partner.callback"]),
        ("/.gateway/logout", ["providers.partner.callback"]),
        ("/.gateway/", ["providers.partner.callback"]),
        ("/elsewhere", ["providers.partner.callback"]),
        ("/.gateway/../x", ["providers.partner.callback"]),
        ("/.gateway/callback/", ["providers.partner.callback"]),
        ("/.gateway/callback?x=1", ["providers.partner.callback"]),
    ],
)
def test_r71_each_callback_is_a_path_of_its_own(callback, found):
    """R71 [1.9]: below the prefix, no other endpoint's, and no two providers' the same."""
    changes = {"providers/partner": PARTNER | {"callback": callback}, "routes/0/provider": "corporate"}
    assert problems(changes) == found


ADMIN = {"path": "/admin/", "upstream": "app", "access": "required"}
TWO_SERVERS = ["http://127.0.0.1:3000", "http://127.0.0.1:3001"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        # one provider, or a route for everybody: nobody is kept out who came in before
        ({"routes/0/provider": "corporate"}, []),
        ({"providers/partner": PARTNER, "routes/0/provider": "partner"}, ["routes[0].provider"]),
        ({"providers/partner": PARTNER, "routes/0/providers": ["partner"]}, []),
        # hosts for every port
        ({"routes/0/hosts": ["app.example.com"]}, []),
        ({"routes/1": ADMIN | {"hosts": ["app.example.com:443"]}, "routes/0/hosts": ["app.example.com"]}, []),
        (
            {
                "routes/0/hosts": ["app.example.com"],
                "routes/1": ROUTE | {"access": "public", "hosts": ["app.example.com:8443"]},
            },
            ["routes[0].hosts[0]"],
        ),
        (
            {
                "routes/0/hosts": ["app.example.com:443"],
                "routes/1": ROUTE | {"access": "public", "hosts": ["app.example.com:8443"]},
            },
            [],
        ),
        (
            {
                "routes/0/hosts": ["x.example.com", "*.example.com"],
                "routes/0/unauthenticated": "reject",
                "routes/1": ROUTE | {"access": "public", "hosts": ["a.example.com:8443"]},
            },
            ["routes[0].hosts[1]"],
        ),
        ({"public_url": "http://localhost:8080", "routes/0/hosts": ["localhost"]}, []),
        (
            {
                "public_url": ["http://127.0.0.1", "http://127.0.0.1:8080"],
                "routes/0/hosts": ["127.0.0.1"],
                "routes/1": ADMIN | {"hosts": ["127.0.0.1:8080"]},
            },
            ["routes[0].hosts[0]"],
        ),
        (
            {"public_url": ["http://[::1]", "http://[::1]:8080"], "routes/0/hosts": ["[::1]"]},
            ["routes[0].hosts[0]"],
        ),
        ({"public_url": "http://[::1]", "routes/0/hosts": ["[::1]"]}, []),
        # unverified addresses
        ({"routes/0/require": {"claims": {"email": "a@x"}}}, ["routes[0].require.claims.email"]),
        (
            {
                "routes/0/require": {"claims": {"email": "a@x"}},
                "providers/corporate/email_verified": "check",
            },
            [],
        ),
        ({"routes/0/require": {"claims": {"sub": "alice"}}}, []),
        # the breaker, and kept connections
        ({"upstreams/app/breaker": {"status": ["503"]}}, ["upstreams.app.breaker.status"]),
        ({"upstreams/app/breaker": {"failures": 9}}, []),
        (
            {
                "upstreams/app/breaker": {"status": ["503"]},
                "upstreams/app/servers": TWO_SERVERS,
                "public_url": "http://localhost",
            },
            [],
        ),
        ({"upstreams/app/max_idle": 1000}, ["upstreams.app.keepalive"]),
        ({"upstreams/app/max_age": "10m"}, ["upstreams.app.keepalive"]),
        ({"upstreams/app/max_age": "10m", "upstreams/app/keepalive": "auto"}, []),
        # what one address may hold, where everybody comes from one
        ({"upstreams/app/max_connections": 9}, ["upstreams.app.max_connections"]),
        ({"upstreams/app/max_connections": 1024}, []),
        ({"upstreams/app/max_connections": 9, "trusted_proxies": ["10.0.0.1"], "forwarding": {}}, []),
        (
            {
                "upstreams/app/max_connections": 9,
                "trusted_proxies": ["10.0.0.1"],
                "forwarding": {"address": "none"},
            },
            ["upstreams.app.max_connections"],
        ),
        ({"upstreams/app/max_connections": 9, "proxy_protocol": ["10.0.0.1"]}, []),
        ({"upstreams/app/max_connections": 9, "tls": {"certificate": "c", "key": "k"}}, []),
        ({"upstreams/app/max_connections": 9, "public_url": "http://localhost"}, []),
        (
            {"upstreams/app/breaker": {"failures": 9}, "upstreams/app/servers": TWO_SERVERS},
            ["upstreams.app.breaker"],
        ),
        ({"upstreams/app/servers": TWO_SERVERS}, []),
        ({"providers/corporate/frontchannel_logout": True}, ["providers.corporate.frontchannel_logout"]),
        ({"providers/corporate/frontchannel_logout": True, "session": {"mode": "redis"}}, []),
        # bounds that hold at the admin listener as well
        ({"limits": {"connections_per_address": 2}}, ["limits.connections_per_address"]),
        ({"limits": {"connections_per_address": 100}}, []),
        ({"limits": {"connections_per_address": 0}}, []),
    ],
)
def test_changed_defaults_are_warned_of_where_they_matter(changes, found):
    """[1.8] [1.15] [1.18] [1.24] [2.34] [3.7] [3.11] [3.14]: a file that means something else, no other."""
    settings = with_changes(changes)
    assert check(settings) == []
    assert [shown_path(each.path) for each in warn(settings)] == found


def test_r71_a_changed_default_is_warned_of():
    """R71 [1.9]: a further provider that does not say its callback has another one than before."""
    partner = {name: value for name, value in PARTNER.items() if name != "callback"}
    settings = with_changes({"providers/partner": partner, "routes/0/providers": ["corporate"]})
    assert [shown_path(each.path) for each in warn(settings)] == ["providers.partner.callback"]
    settings = with_changes(
        {"public_url": ["http://localhost:8080"], "providers/corporate/response_mode": "form_post"}
    )
    assert [shown_path(each.path) for each in warn(settings)] == ["providers.corporate.response_mode"]


def test_r70_names_of_providers_are_checked():
    """R70 [1.8]: a name that is no provider's, an empty list, a login at one that would not be let in."""
    base = {"providers/partner": PARTNER}
    assert problems(base | {"routes/0/providers": ["partner", "nobody"]}) == ["routes[0].providers[1]"]
    assert problems(base | {"routes/0/providers": ["partner"], "routes/0/provider": "corporate"}) == [
        "routes[0].provider"
    ]
    with pytest.raises(ValidationError):
        with_changes(base | {"routes/0/providers": []})


def test_no_message_holds_a_value():
    """R16: secrets of every kind stay out of what is told."""
    marks = {
        "secret_keys": ["SECRETKEY"],
        "admin/token": "SECRETTOKEN",
        "redis/url": "SECRETURL",
        "public_url": "SECRETPUBLIC",
        "listen": "SECRETLISTEN",
        "providers/corporate/issuer": "SECRETISSUER",
        "providers/corporate/algorithms": ["SECRETALG"],
        "routes/0/path": "SECRETPATH",
        "routes/0/upstream": "SECRETUPSTREAM",
        "trusted_proxies": ["SECRETPROXY"],
        "identity_headers": {"X-A": "SECRET CLAIM"},
    }
    found = check(with_changes(marks))
    assert len(found) == len(marks)
    assert "SECRET" not in "".join(map(str, found))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("60s", 60), ("1.5m", 90), ("8h", 28800), ("7d", 604800)],
)
def test_durations(text, seconds):
    """A number with a unit is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "s", "1 s", "-1s", "1w", "1e3s", "\u0661s", "0x1s", " 1s", True])
def test_no_durations(text):
    """Anything else is refused with an example of how to write it."""
    with pytest.raises(ValueError, match="60s"):
        parse_duration(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret_keys": []},
        {"secret_keys": [""]},
        {"public_url": []},
        {"public_url": ""},
        {"routes": []},
        {"providers": {}},
        {"providers/corporate/audiences": []},
        {"providers/corporate/algorithms": []},
        {"providers/corporate/client_secret": ""},
        {"providers/corporate/issuer": ""},
        {"upstreams/app/servers": []},
        {"routes/0/require": {"scopes": []}},
        {"routes/0/require": {"claims": {}}},
        {"routes/0/hosts": []},
        {"routes/0/methods": []},
        {"routes/0/preflight": {"origins": []}},
        {"session/idle_lifetime": 0},
        {"session/idle_lifetime": True},
        {"limits/head": True},
        {"admin/token": ""},
        {"listen": ""},
        {"unknown": 1},
        {"routes/0/unknown": 1},
        {"routes/0/preflight": "allow"},
    ],
)
def test_empty_and_unknown_are_refused(changes):
    """R24: empty never means allow; the models alone refuse it, without the file's loader."""
    with pytest.raises(ValidationError) as caught:
        with_changes(changes)
    assert "input_value" not in str(caught.value)


def test_a_single_text_is_a_list_for_public_url_alone():
    """Nowhere else is a text taken for a list."""
    assert with_changes({"public_url": "https://a.example"}).public_url == ("https://a.example",)
    with pytest.raises(ValidationError):
        with_changes({"trusted_proxies": "10.0.0.0/8"})
    with pytest.raises(ValidationError):
        with_changes({"providers/corporate/audiences": "api"})


def test_settings_are_frozen_and_hide_secrets():
    """R16: neither repr nor dump shows a secret, and nothing can be changed afterwards."""
    settings = with_changes({"redis/url": "redis://:hunter2@h"})
    shown = repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert "hunter2" not in shown
    assert "s3cr3t" not in shown
    assert KEY not in shown
    with pytest.raises(ValidationError):
        settings.listen = "x"


def test_syntax():
    """The judges of single values."""
    assert parse_listen("[::]:80") == ("::", 80)
    assert parse_listen("[127.0.0.1]:80") is None
    assert parse_listen("a:\u0663") is None
    assert judge_listen("127.0.0.1:0") is None
    assert collide("0.0.0.0:80", "127.0.0.1:80")
    assert not collide("127.0.0.1:80", "127.0.0.2:80")
    assert not collide("127.0.0.1:0", "127.0.0.1:0")
    assert is_loopback("::1")
    assert not is_loopback("localhost.example.com")
    assert judge_url("https://a/x?y", insecure=False) is None
    assert judge_url("https://a/\tx", insecure=False)
    assert judge_url("https://a\\b", insecure=False)
    assert split_url("https://[::1") is None
    assert authority_of(split_url("https://A.b:443")) == "a.b"
    assert authority_of(split_url("http://[::1]:443")) == "[::1]:443"
    assert judge_network("10.0.0.0/8") is None
    assert are_everybody(("8000::/1", "::/1", "x"))
    assert judge_origin("https://a.example:443")
    assert suggestion("lisen", ["listen", "limits"]) == " - did you mean listen?"
    assert suggestion("zzz", ["listen"]) == ""
    assert shown_path(("a", 0, "b c", "d")) == "a[0].?.d"


@pytest.mark.parametrize(("window", "grace", "least"), [("90s", "60s", "90s"), ("500ms", "100ms", "0.5s")])
def test_the_least_rotation_grace_is_named(window: str, grace: str, least: str):
    """[1.14]: below the refresh window a copied cookie would be let in and refused in turns."""
    session = {"refresh_before_expiry": window, "rotation_grace": grace}
    (problem,) = check(with_changes({"session": session}))
    assert problem.path == ("session", "rotation_grace")
    assert f"at least {least}" in problem.message
    assert not check(with_changes({"session": session | {"rotation_grace": window}}))


def test_no_endpoint_can_be_a_callback():
    """[10.2]: the check knows every endpoint that the decision has."""
    assert {name.decode() for name in decide.ENDPOINTS} == ENDPOINTS | {"callback"}


@pytest.mark.parametrize(
    "name", ["Content-Length", "Set_Cookie", "Range", "Date", "Sec-Fetch-Mode", "TE", "Via"]
)
def test_r53_a_field_of_another_meaning_tells_nothing_else(name: str):
    """R53 [10.2]: neither who calls nor where a client is, for the check and for who compiles without it."""
    settings = with_changes({"identity_headers": {name: "sub"}})
    assert problems({"identity_headers": {name: "sub"}}) == [f"identity_headers.{name}"]
    with pytest.raises(ValueError, match="identity_headers"):
        compile_settings(settings)
    assert problems({"forwarding": {"address": name}}) == ["forwarding.address"]


def test_the_shipped_schema_is_the_settings_own():
    """[12.cli]: else: python -m gateway schema > config/gateway.schema.json."""
    shipped = json.loads((TREE / "config/gateway.schema.json").read_text(encoding="utf-8"))
    assert shipped == schema(), "python -m gateway schema > config/gateway.schema.json"


@pytest.mark.parametrize("name", ["Of\nfice", "\u202eeciffO", "\x1b[31mOffice", "Office\u200b"])
def test_a_networks_name_can_be_read(name: str):
    """[12.sessions]: no control, no direction mark and nothing invisible: people are shown it."""
    assert [each.path for each in check(with_changes({"networks": {name: ["10.0.0.0/8"]}}))] == [
        ("networks", name)
    ]
