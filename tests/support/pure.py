"""Small settings, requests and identities for tests of the pure core."""

from typing import Any

from gateway.config.settings.root import Settings
from gateway.core.headers.request import Header, Request
from gateway.core.headers.rules import HeaderRules, compile_rules, forwarded_of, upstream_headers
from gateway.core.identity import Identity

NOW = 1_800_000_000.0
ISSUER = "https://login.example.com"
HOST = b"app.example.com"
PREFIX = "__Host-gateway-"


def settings(*routes: dict[str, Any], **changes: Any) -> Settings:
    """Return settings with these routes; each defaults to ``app`` and ``required``."""
    data = {
        "public_url": ["https://app.example.com"],
        "secret_keys": ["A" * 43 + "="],
        "providers": {
            "corporate": {"issuer": ISSUER, "client_id": "w", "client_secret": "s", "audiences": ["a"]}
        },
        "upstreams": {"app": {"servers": ["http://127.0.0.1:3000"]}},
        "routes": [
            {"upstream": "app", "access": "required", **route} for route in routes or ({"path": "/"},)
        ],
    }
    return Settings.model_validate(data | changes)


def rules(**changes: Any) -> HeaderRules:
    """Return compiled header rules."""
    return compile_rules(settings(**changes), (PREFIX, "gateway-8080-"))


def request(*headers: Header, method: bytes = b"GET", host: bytes = HOST, **more: Any) -> Request:
    """Return a request head from 192.0.2.1."""
    return Request(method, b"/", host, ((b"Host", host), *headers), more.pop("peer", "192.0.2.1"), **more)


def identity(**changes: Any) -> Identity:
    """Return alice, by a bearer token, or as changed."""
    fields = {
        "kind": "bearer",
        "provider": "corporate",
        "issuer": ISSUER,
        "subject": "alice",
        "claims": {},
        "scopes": frozenset[str](),
        "issued_at": NOW - 100,
        "expires_at": NOW + 100,
    }
    return Identity(**(fields | changes))


def sent_on(
    req: Request, known: HeaderRules, who: Identity | None = None, *, pass_authorization: bool = False
) -> list[Header]:
    """Return the head that the upstream gets."""
    observed = forwarded_of(req, known)
    return upstream_headers(
        req, observed, known, who, pass_authorization=pass_authorization, request_id="request-1"
    )


def values(headers: list[Header], name: bytes) -> list[bytes]:
    """Return the values of a field, whatever its case."""
    return [value for each, value in headers if each.lower() == name.lower()]
