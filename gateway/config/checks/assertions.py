"""Checks of signed assertions."""

import re
from collections.abc import Iterator
from typing import Final

from gateway.config.checks.header_names import CLAIM
from gateway.config.checks.problems import Path, Problem
from gateway.config.reserved_names import has_meaning
from gateway.config.settings.root import Settings
from gateway.syntax.tokens import fold, is_token

OWN_CLAIMS: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "idp"})
"""The members of an assertion that are no claim of a provider (RFC 7519 section 4.1)."""

_NAME: Final = re.compile(r"[\x21-\x7e]{1,512}")
_NO_NAME: Final = "write printable ASCII without white space, such as https://app.example.com"


def usual_issuer(settings: Settings) -> str | None:
    """Return what ``iss`` names unless it is configured: the first ``public_url``, as an origin."""
    named = (url for url in settings.public_url if "*" not in url)
    return next((url.rstrip("/").lower() for url in named), None)


def check_assertions(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``assertions``, and of each upstream's."""
    yield from _check_header(settings)
    issuer = settings.assertions.issuer
    if issuer is not None and _NAME.fullmatch(issuer) is None:
        yield Problem(("assertions", "issuer"), _NO_NAME)
    is_used = any(upstream.assertion is not None for upstream in settings.upstreams.values())
    if is_used and issuer is None and usual_issuer(settings) is None:
        yield Problem(("assertions", "issuer"), "no public_url is one name, so write what iss is to be")
    for name, upstream in settings.upstreams.items():
        assertion, at = upstream.assertion, ("upstreams", name, "assertion")
        if assertion is None:
            continue
        if assertion.audience is not None and _NAME.fullmatch(assertion.audience) is None:
            yield Problem((*at, "audience"), _NO_NAME)
        for index, claim in enumerate(assertion.claims or ()):
            where: Path = (*at, "claims", index)
            if CLAIM.fullmatch(claim) is None:
                yield Problem(where, "write a claim's name without white space")
            elif claim in OWN_CLAIMS:
                yield Problem(where, "the assertion itself says this: leave it out")


def _check_header(settings: Settings) -> Iterator[Problem]:
    at: Path = ("assertions", "header")
    name = settings.assertions.header
    folded = fold(name.encode(errors="replace"))
    if not is_token(name):
        yield Problem(at, "not the name of a header field (RFC 9110 section 5.6.2)")
    elif has_meaning(folded):
        yield Problem(at, "this field has another meaning; choose another name")
    elif folded in {fold(each.encode(errors="replace")) for each in _others(settings)}:
        yield Problem(at, "identity_headers or request_headers write this field")


def _others(settings: Settings) -> Iterator[str]:
    yield from settings.identity_headers
    for route in settings.routes:
        yield from route.identity_headers or ()
        yield from route.request_headers


def warn_assertions(settings: Settings) -> Iterator[Problem]:
    """Yield which upstreams take each other's assertions for their own."""
    seen: dict[str, str] = {}
    for name, upstream in settings.upstreams.items():
        if upstream.assertion is None:
            continue
        audience = upstream.assertion.audience or name
        if audience in seen:
            yield Problem(
                ("upstreams", name, "assertion", "audience"),
                f"upstream {seen[audience]} has this audience too: either can show the other its assertions",
            )
        seen.setdefault(audience, name)
