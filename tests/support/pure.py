"""Small settings, requests and identities for tests of the pure core."""

from typing import Any

from gateway.config.settings.root import Settings
from gateway.core.headers.downstream import sort_response, with_cookies
from gateway.core.headers.kinds import CONNECTION, CONTENT_LENGTH
from gateway.core.headers.lines import Malformed, check_line, without
from gateway.core.headers.request import Header, Request
from gateway.core.headers.rules import HeaderRules, compile_rules, forwarded_of, plain_request_lines
from gateway.core.headers.upstream import upstream_headers
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
    found = Request(method, b"/", host, ((b"Host", host), *headers), more.pop("peer", "192.0.2.1"), **more)
    found.sort(plain_request_lines())
    return found


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


def response_headers(headers: list[Header], known: HeaderRules, set_cookies: list[bytes]) -> list[Header]:
    """Return the head that a client gets, Content-Length among it."""
    lines = []
    for header in headers:
        line = b": ".join(header)
        try:
            check_line(line)
        except Malformed:
            continue
        lines.append(line)
    passed, read = sort_response(lines, known.response_lines)
    named = frozenset().union(*(line.found.named for line in read if line.kind == CONNECTION))
    # what is the data plane's to write is where it was
    stays = {*passed, *(line.raw for line in read if line.kind == CONTENT_LENGTH)}
    passed = without([line for line in lines if line in stays], named)
    if set_cookies:
        passed = with_cookies(passed, read, set_cookies)
    return [(name, value) for name, _, value in (line.partition(b": ") for line in passed)]
