"""Checks of the header fields that the gateway writes: who is calling, and what routes set."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.config.checks.problems import Path, Problem
from gateway.config.reserved_names import HOP_BY_HOP, has_meaning
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.syntax.tokens import fold, is_token

CLAIM: Final = re.compile(r"[\x21-\x7e]{1,256}")
"""How a claim's name is written."""

_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?")
_NO_NAME: Final = "not the name of a header field (RFC 9110 section 5.6.2)"
_ALIKE: Final = "a name above differs only in case and signs such as _: upstreams cannot tell them apart"
_NO_VALUE: Final = "write printable ASCII without white space around it"
_NO_CLAIM: Final = "write a claim's name without white space"
# what frames a response, what a browser is given to keep, and what the gateway says itself
_NOT_ANSWERED: Final = HOP_BY_HOP | frozenset(
    b"date proxy-authenticate proxy-connection set-cookie set-cookie2 x-request-id".split()
)


def check_header_names(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``identity_headers`` and of the fields that routes set."""
    yield from _check_identity(settings.identity_headers, ("identity_headers",))
    if CLAIM.fullmatch(settings.groups_claim) is None:
        yield Problem(("groups_claim",), _NO_CLAIM)
    for index, route in enumerate(settings.routes):
        yield from _check_route(settings, route, ("routes", index))


def _check_route(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    if route.identity_headers is not None:
        if route.access == "public":
            yield Problem((*at, "identity_headers"), "a public route looks at no identity: remove it")
        yield from _check_identity(route.identity_headers, (*at, "identity_headers"))
    told = settings.identity_headers if route.identity_headers is None else route.identity_headers
    yield from _check_request(route, {fold(name.encode(errors="replace")) for name in told}, at)
    yield from _check_response(settings, route, (*at, "response_headers"))


def _check_identity(names: Mapping[str, str], where: Path) -> Iterator[Problem]:
    seen: set[bytes] = set()
    for name, claim in names.items():
        at: Path = (*where, name)
        folded = fold(name.encode(errors="replace"))
        if not is_token(name):
            yield Problem(at, _NO_NAME)
        elif has_meaning(folded):
            yield Problem(at, "this field has another meaning; choose another name, such as X-Forwarded-User")
        elif folded in seen:
            yield Problem(at, _ALIKE)
        seen.add(folded)
        if CLAIM.fullmatch(claim) is None:
            yield Problem(at, _NO_CLAIM)


def _check_request(route: RouteSettings, told: set[bytes], where: Path) -> Iterator[Problem]:
    seen: set[bytes] = set()
    for name, value in route.request_headers.items():
        at: Path = (*where, "request_headers", name)
        folded = fold(name.encode(errors="replace"))
        if not is_token(name):
            yield Problem(at, _NO_NAME)
        elif folded == b"authorization":
            yield Problem(at, "write authorization: {value: ...} on the route")
        elif has_meaning(folded):
            yield Problem(at, "this field has another meaning, and goes on as clients send it or not at all")
        elif folded in told:
            yield Problem(at, "this field tells here who is calling")
        elif folded in seen:
            yield Problem(at, _ALIKE)
        seen.add(folded)
        if _VALUE.fullmatch(value.get_secret_value()) is None:
            yield Problem(at, _NO_VALUE)


def warn_header_names(settings: Settings) -> Iterator[Problem]:
    """Yield where caches are told to keep for everybody what one person was given."""
    for index, route in enumerate(settings.routes):
        for name, value in route.response_headers.items():
            directives = {each.partition("=")[0].strip().lower() for each in (value or "").split(",")}
            is_shared = name.lower().endswith("cache-control") and directives & {"public", "s-maxage"}
            if is_shared and route.access != "public":
                yield Problem(
                    ("routes", index, "response_headers", name),
                    "shared caches may keep what one person gets here, and give it to others: write private",
                )


def _check_response(settings: Settings, route: RouteSettings, where: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    has_hsts = settings.tls is not None and settings.tls.hsts is not None
    for name, value in route.response_headers.items():
        at: Path = (*where, name)
        lower = name.lower()
        if not is_token(name):
            yield Problem(at, _NO_NAME)
        elif fold(name.encode()) in _NOT_ANSWERED:
            yield Problem(at, "this field is the gateway's or the upstream's own to write")
        elif lower == "strict-transport-security" and has_hsts:
            yield Problem(at, "tls.hsts writes this field: remove one of them")
        elif lower.startswith("access-control-") and route.cors == "answer":
            yield Problem(at, "cors: answer writes these fields: remove one of them")
        elif lower in seen:
            yield Problem(at, "this field is set above, in another case")
        seen.add(lower)
        if value is not None and _VALUE.fullmatch(value) is None:
            yield Problem(at, _NO_VALUE)
