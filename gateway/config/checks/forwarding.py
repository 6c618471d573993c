"""Checks of who is believed about clients: trusted proxies, and the fields that they write."""

from collections.abc import Iterator
from typing import Final

from gateway.config.checks.problems import Path, Problem
from gateway.config.foreign_identity import is_foreign
from gateway.config.own_names import own_names
from gateway.config.reserved_names import METHOD_OVERRIDES, TAKEN, has_meaning
from gateway.config.settings.listener import ForwardingSettings
from gateway.config.settings.root import Settings
from gateway.syntax import urls
from gateway.syntax.tokens import fold, is_token

_LISTS: Final = frozenset({"x-forwarded-for", "forwarded", "none"})
# fields in which a proxy may tell the address, and such as tell something else
_ADDRESSES: Final = frozenset({b"x-forwarded-for", b"x-real-ip"})
_OF_CLIENTS: Final = frozenset({b"referer", b"user-agent"})
_NEEDED: Final = frozenset(
    b"authorization connection content-length cookie expect host te transfer-encoding".split()
).union(TAKEN - METHOD_OVERRIDES)


def check_forwarding(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``trusted_proxies`` and ``forwarding``."""
    yield from check_networks(settings.trusted_proxies, "trusted_proxies", "name the proxies")
    yield from check_networks(settings.proxy_protocol, "proxy_protocol", "name the balancers")
    forwarding = settings.forwarding
    address = forwarding.address.lower()
    folded = fold(address.encode(errors="replace"))
    at: Path = ("forwarding", "address")
    if address not in _LISTS:
        if not is_token(address):
            yield Problem(at, "not the name of a header field (RFC 9110 section 5.6.2)")
        elif (has_meaning(folded) and folded not in _ADDRESSES) or folded in _OF_CLIENTS:
            yield Problem(at, "this field has another meaning; a proxy writes no address there")
        elif folded in own_names(settings):
            yield Problem(
                at, "this is one of the fields that the gateway writes itself, such as identity_headers"
            )
    yield from _check_certificate(settings)
    if address != "forwarded":
        for setting in ("scheme", "host"):
            if getattr(forwarding, setting) == "Forwarded":
                yield Problem(
                    ("forwarding", setting),
                    "the element of Forwarded that tells of the client is found by its address: address has"
                    " to be Forwarded too",
                )


def _check_certificate(settings: Settings) -> Iterator[Problem]:
    name = settings.forwarding.client_certificate
    folded = fold(name.encode(errors="replace"))
    at: Path = ("forwarding", "client_certificate")
    if name == "none":
        return
    if not is_token(name):
        yield Problem(at, "not the name of a header field (RFC 9110 section 5.6.2)")
    elif (
        has_meaning(folded)
        or folded in _OF_CLIENTS | {b"dpop"} | _ADDRESSES
        or name.lower() == settings.forwarding.address.lower()
        or folded in own_names(settings)
    ):
        yield Problem(at, "this field has another meaning; a proxy writes no certificate there")


def check_networks(networks: tuple[str, ...], setting: str, advice: str) -> Iterator[Problem]:
    """Yield every problem of a list of networks; ``advice`` is for one that is everybody."""
    good = True
    for index, network in enumerate(networks):
        if (message := urls.judge_network(network)) is not None:
            good = False
            yield Problem((setting, index), message)
    if good and urls.are_everybody(networks):
        yield Problem((setting,), f"together these networks are everybody: {advice}")


def check_client_headers(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``client_headers`` (R82)."""
    client = settings.client_headers
    own = own_names(settings)
    for index, name in enumerate(client.drop):
        at: Path = ("client_headers", "drop", index)
        prefix = name.removesuffix("*")
        folded = fold(prefix.encode(errors="replace"))
        if not is_token(prefix) or "*" in prefix or (len(prefix) < 3 and prefix != name):
            yield Problem(
                at, "write a field's name, or what names begin with and *: X-Legacy-User, X-Legacy-*"
            )
        elif folded in _NEEDED or (name != prefix and any(each.startswith(folded) for each in _NEEDED)):
            yield Problem(at, "the gateway itself reads this field, and decides what happens to it")
    for index, name in enumerate(client.keep):
        at = ("client_headers", "keep", index)
        folded = fold(name.encode(errors="replace"))
        if not is_token(name) or "*" in name:
            yield Problem(at, "write one field's whole name, as the proxy spells it")
        elif folded in own:
            yield Problem(
                at, "this is one of the fields that the gateway writes itself, such as identity_headers"
            )
        elif not is_foreign(folded):
            yield Problem(at, "this is no name of an identity that is dropped by default")


def warn_forwarding(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed and yet hardly meant."""
    if settings.trusted_proxies and "forwarding" not in settings.model_fields_set:
        yield Problem(
            ("trusted_proxies",),
            "the section forwarding names the fields that these proxies write; it is not written, so"
            " X-Forwarded-For, X-Forwarded-Proto and the Host field as they send it count, and no other."
            " nginx sends $proxy_host, the upstream's name, as Host until proxy_set_header Host $http_host."
            " Where all of that fits, write forwarding: {host: Host}",
        )
    for index, name in enumerate(settings.client_headers.keep):
        yield Problem(
            ("client_headers", "keep", index),
            "upstreams believe in this field who somebody is, and the gateway does not check it: every proxy"
            " in trusted_proxies has to overwrite it"
            if settings.trusted_proxies and name
            else "without trusted_proxies it is dropped all the same",
        )
    if settings.forwarding != ForwardingSettings() and not settings.trusted_proxies:
        yield Problem(("forwarding",), "without trusted_proxies no field of anybody is read")
