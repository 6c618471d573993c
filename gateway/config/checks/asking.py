"""Checks of ``asked_by``: what a proxy that asks for decisions needs, and what it cannot do."""

from collections.abc import Iterator
from typing import Final

from gateway.config.checks.problems import Path, Problem
from gateway.config.own_names import identity_names
from gateway.config.settings.root import Settings
from gateway.syntax.tokens import fold

_OWN_ANSWER: Final = frozenset({b"x-gateway-cookie", b"x-gateway-authorization"})
_IN_FILES: Final = frozenset(
    ["x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username"]
)
_ONE_COOKIE: Final = frozenset({"nginx", "ingress-nginx"})


def check_asking(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``asked_by``."""
    for index, name in enumerate(settings.asked_by):
        at: Path = ("asked_by", index)
        if name in settings.asked_by[:index]:
            yield Problem(at, "this kind of proxy stands above already")
        elif name in _ONE_COOKIE and settings.session.mode != "redis":
            yield Problem(
                at,
                "nginx passes on one cookie of a decision, and sessions in cookies take several: set"
                " session.mode: redis",
            )
    if not settings.asked_by:
        return
    if not settings.trusted_proxies:
        yield Problem(
            ("asked_by",),
            "what a proxy says of a request is believed from trusted_proxies alone, and there are none",
        )
    for told in identity_names(settings):
        if fold(told.encode(errors="replace")) in _OWN_ANSWER:
            yield Problem(
                ("asked_by",), "the answer to who asks has a field of this name: call an identity's otherwise"
            )
    for setting in ("scheme", "host"):
        if getattr(settings.forwarding, setting) == "Forwarded":
            yield Problem(
                ("forwarding", setting),
                "whoever asks for decisions (asked_by) tells scheme and host in other fields than Forwarded",
            )


def warn_asking(settings: Settings) -> Iterator[Problem]:
    """Yield what routes say that a proxy which asks does not do."""
    if not settings.asked_by:
        return
    yield from _names_to_replace(settings)
    for index, route in enumerate(settings.routes):
        if route.preflight != "refuse" or route.cors == "answer":
            yield Problem(
                ("routes", index, "preflight"),
                "a proxy that asks (asked_by) is not let through with a CORS preflight, and sets no CORS"
                " fields: answer it there, or open OPTIONS by a public route",
            )
        for setting in ("request_headers", "response_headers"):
            if getattr(route, setting):
                yield Problem(
                    ("routes", index, setting), "a proxy that asks (asked_by) is to set these fields itself"
                )
        if route.strip_prefix or route.replace_prefix is not None:
            yield Problem(
                ("routes", index, "strip_prefix" if route.strip_prefix else "replace_prefix"),
                "a proxy that asks (asked_by) forwards the path as it came",
            )


def _names_to_replace(settings: Settings) -> Iterator[Problem]:
    """Yield the names that the shipped files do not replace: what a client sends under them would stay."""
    places: list[tuple[Path, str]] = [
        (("identity_headers", name), name) for name in settings.identity_headers
    ]
    for index, route in enumerate(settings.routes):
        names = route.identity_headers or ()
        places += [(("routes", index, "identity_headers", name), name) for name in names]
    if any(upstream.assertion is not None for upstream in settings.upstreams.values()):
        places.append((("assertions", "header"), settings.assertions.header))
    if settings.api_keys is not None:
        places.append((("api_keys", "header"), settings.api_keys.header))
    if settings.forwarding.client_certificate != "none":
        places.append((("forwarding", "client_certificate"), settings.forwarding.client_certificate))
    for at, name in places:
        if name.lower() not in _IN_FILES:
            yield Problem(
                at,
                "a proxy that asks (asked_by) has to replace this field too, or a client's own reaches the"
                " application: the files in config/proxies/ do not name it",
            )
