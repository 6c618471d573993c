"""Proxies that ask for decisions, as the pure core sees them."""

from gateway.core.decision.answers import Answer
from gateway.core.decision.needs import Need
from gateway.core.endpoints.asked import ASKERS
from gateway.core.headers.request import Header
from gateway.core.runtime import RuntimeConfig, compile_settings
from tests.support.decisions import ask
from tests.support.pure import HOST, settings

PROXY = "192.0.2.7"
PAGE = (b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate")
NAMES = (b"X-Forwarded-User", b"X-Forwarded-Email", b"X-Forwarded-Groups", b"X-Forwarded-Preferred-Username")
ROUTES = (
    {"path": "/public/", "access": "public"},
    {"path": "/optional/", "access": "optional"},
    {"path": "/reject/", "unauthenticated": "reject"},
    {"path": "/admin/", "require": {"groups": ["admins"]}},
    {"path": "/strong/", "require": {"acr": ["mfa"]}},
    {"path": "/few/", "access": "public", "rate_limit": {"requests": 1, "per": "1h", "by": "address"}},
    {"path": "/own/", "access": "optional", "identity_headers": {"X-Who": "sub"}},
    {"path": "/sets/", "access": "public", "request_headers": {"X-Secret": "s3cret"}},
    {"path": "/pass/", "access": "public", "authorization": "pass"},
    {"path": "/basic/", "authorization": {"basic": {"username": "sub", "password": "pw"}}},
    {"path": "/cors/", "preflight": {"origins": ["https://spa.example.com"], "methods": ["PUT"]}},
    {"path": "/open-cors/", "preflight": "forward"},
    {"path": "/raw/", "access": "public", "raw_path": True},
    {"path": "/"},
)
EVERYBODY = ("nginx", "ingress-nginx", "traefik", "caddy", "haproxy", "envoy")
BY_URL = [b"nginx", b"nginx/answer", b"ingress-nginx"]
WHOLE = [name for name, asker in ASKERS.items() if asker.is_whole]


def compiled(*routes: dict, **changes: object) -> RuntimeConfig:
    """Return settings under which every kind of proxy asks."""
    more = {"trusted_proxies": [PROXY], "asked_by": EVERYBODY, "session": {"mode": "redis"}}
    return compile_settings(settings(*(routes or ROUTES), **more | changes))


RECORDS = compiled()
"""Sessions in the store; everybody asks."""
COOKIES = compiled(session={})
"""Sessions in cookies: somebody can be somebody here without a store."""
KINDS = tuple(ASKERS)


def originals(
    name: bytes, target: bytes, method: bytes = b"GET", scheme: bytes = b"https", host: bytes = HOST
) -> tuple[bytes, tuple[Header, ...], bytes]:
    """Return how a proxy of this kind tells of an original: where it asks, its fields, its method."""
    path = b"/.gateway/decide/" + name
    if name in BY_URL:
        url = scheme + b"://" + host + target
        return path, ((b"X-Original-Method", method), (b"X-Original-URL", url)), b"GET"
    if name == b"envoy":
        return path + target, ((b"X-Forwarded-Proto", scheme),), method
    told = ((b"Method", method), (b"Proto", scheme), (b"Host", host), (b"Uri", target))
    return path, tuple((b"X-Forwarded-" + part, value) for part, value in told), b"GET"


def asks_under(name: bytes, host: bytes = HOST) -> bytes:
    """Return the Host under which a proxy of this kind asks about an original of a host."""
    return host if name == b"envoy" else b"gateway:8080"


def asked(
    name: bytes,
    target: str,
    *headers: Header,
    method: bytes = b"GET",
    known: RuntimeConfig = RECORDS,
    peer: str = PROXY,
    scheme: bytes = b"https",
    host: bytes = HOST,
) -> Answer | Need:
    """Decide as a proxy asks."""
    path, told, own = originals(name, target.encode("latin-1"), method, scheme, host)
    address = (b"X-Forwarded-For", b"203.0.113.9")
    return ask(
        known,
        path.decode("latin-1"),
        *told,
        address,
        *headers,
        method=own,
        host=asks_under(name, host),
        peer=peer,
    )
