"""Warnings of defaults that have changed, where they matter to the file at hand (docs/upgrading.md).

Each one ends once the file says what is meant.
"""

from collections.abc import Iterable, Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.checks.several_providers import admitted
from gateway.config.requirements import asked
from gateway.config.settings.providers import EMAIL
from gateway.config.settings.root import Settings
from gateway.config.settings.upstreams import UpstreamSettings
from gateway.syntax import urls

# what browsers open to one host over HTTP/1.1
_CONNECTIONS_OF_A_BROWSER = 6


def warn_upgrade(settings: Settings) -> Iterator[Problem]:
    """Yield where a file of the version before means something else now."""
    yield from _warn_restricted(settings)
    yield from _warn_every_port(settings)
    yield from _warn_addresses(settings)
    yield from _warn_upstreams(settings)
    if _is_everybody_one_address(settings):
        yield from _warn_shares(settings)
    if 0 < settings.limits.connections_per_address < _CONNECTIONS_OF_A_BROWSER:
        yield Problem(
            ("limits", "connections_per_address"),
            "the admin listener has this bound as well, for each scraper and balancer, and one browser opens"
            f" {_CONNECTIONS_OF_A_BROWSER}",
        )


def _warn_restricted(settings: Settings) -> Iterator[Problem]:
    if len(settings.providers) < 2:
        return
    for index, route in enumerate(settings.routes):
        if route.provider is not None and route.providers is None and route.access != "public":
            yield Problem(
                ("routes", index, "provider"),
                f"people of {route.provider} alone come in, where this used to say where a login goes: write"
                " providers, with this one name if that is meant, else with every other who comes in",
            )


def _warn_every_port(settings: Settings) -> Iterator[Problem]:
    public = [urls.authority_of(parts) for parts in map(urls.split_site, settings.public_url) if parts]
    routed = [host for route in settings.routes for host in route.hosts or ()]
    # a site that has a port of its own alone was never meant by a host without one
    sites = _patterns(each for each in public if not _port(each))
    elsewhere = _patterns(filter(_port, routed)) | _patterns(filter(_port, public)) & sites
    for index, route in enumerate(settings.routes):
        for place, host in enumerate(route.hosts or ()):
            if host in elsewhere:
                yield Problem(
                    ("routes", index, "hosts", place),
                    "for every port now, where it was for 80 and 443 alone, and the file names this host with"
                    " another port: write the port where that one is not meant",
                )


def _port(authority: str) -> str:
    """Return the port that an authority or pattern names beside the usual ones, or nothing."""
    port = authority.rpartition("]")[2].partition(":")[2]
    return "" if port in map(str, urls.DEFAULT_PORTS.values()) else port


def _patterns(authorities: Iterable[str]) -> set[str]:
    """Return the hosts without a port, and the wildcards, that cover these."""
    names = [each[: each.rfind(":")] if _port(each) else each for each in authorities]
    return {pattern for name in names for pattern in (name, f"*.{name.partition('.')[2]}")}


def _warn_addresses(settings: Settings) -> Iterator[Problem]:
    for index, route in enumerate(settings.routes):
        if not any(EMAIL in (each.claims or {}) for each in asked(settings, route)):
            continue
        # where the route itself does not name the address, a policy of another place does
        own = route.require is not None and EMAIL in (route.require.claims or {})
        at: Path = ("require", "claims", EMAIL) if own else ("require",)
        for name in sorted(admitted(settings, route)):
            if "email_verified" not in settings.providers[name].model_fields_set:
                yield Problem(
                    ("routes", index, *at),
                    f"an address counts only where {name} says that it is verified: write email_verified for"
                    f" providers.{name}, check if it says so, or assume if it verifies each and says nothing",
                )


def _warn_upstreams(settings: Settings) -> Iterator[Problem]:
    for name, upstream in settings.upstreams.items():
        if upstream.breaker.status and len(upstream.servers) < 2:
            yield Problem(
                ("upstreams", name, "breaker", "status"),
                "what its only server answers no longer takes it from anybody: a health check may do that",
            )
        tuned = upstream.model_fields_set & {"max_age", "max_idle"}
        if tuned and "keepalive" not in upstream.model_fields_set:
            yield Problem(
                ("upstreams", name, "keepalive"),
                f"{min(tuned)} is written and this is not: unused connections are kept for 1 s less"
                " than their server tells, else 4 s, where it was 60 s; write auto if that is meant",
            )


def _is_everybody_one_address(settings: Settings) -> bool:
    """Tell whether something in front ends TLS, and is not believed about its clients' addresses."""
    if settings.trusted_proxies:
        return settings.forwarding.address.lower() == "none"
    ends_elsewhere = settings.tls is None and any(
        url.lower().startswith("https:") for url in settings.public_url
    )
    return ends_elsewhere and not settings.proxy_protocol


def _warn_shares(settings: Settings) -> Iterator[Problem]:
    why = "everybody is one address here, since what stands in front is not in trusted_proxies, or tells none"
    for name, upstream in settings.upstreams.items():
        if upstream.max_connections != UpstreamSettings.model_fields["max_connections"].default:
            yield Problem(
                ("upstreams", name, "max_connections"),
                f"one address has half of these at most, and {why}",
            )
        if "breaker" in upstream.model_fields_set and len(upstream.servers) > 1:
            yield Problem(
                ("upstreams", name, "breaker"),
                f"requests that fail for one address alone open no breaker, and {why}",
            )
    if settings.session.mode == "cookie":
        for name, provider in settings.providers.items():
            if provider.frontchannel_logout:
                yield Problem(
                    ("providers", name, "frontchannel_logout"),
                    f"one address logs out few people at once, and {why}; the back channel has no such bound",
                )
