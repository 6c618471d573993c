"""Checks of routes whose tokens have to be bound, or to name the very resource."""

from collections.abc import Iterator
from urllib.parse import SplitResult

from gateway.config.checks.problems import Path, Problem
from gateway.config.checks.several_providers import admitted
from gateway.config.hosts import may_meet
from gateway.config.resources import WELL_KNOWN, identifier_of
from gateway.config.settings.resources import ResourceSettings
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.config.sites import site_urls
from gateway.syntax import urls
from gateway.syntax.authority import authorities


def check_bound_tokens(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``dpop``, and of the routes' ``bound_tokens`` and ``resource``."""
    if len(set(settings.dpop.algorithms)) != len(settings.dpop.algorithms):
        yield Problem(("dpop", "algorithms"), "an algorithm comes twice")
    seen: dict[str, tuple[int, ResourceSettings]] = {}
    for index, route in enumerate(settings.routes):
        at: Path = ("routes", index)
        yield from _check_bound(settings, route, at)
        if route.resource is None:
            continue
        yield from _check_resource(settings, route, (*at, "resource"))
        identifier = identifier_of(settings, route)
        if identifier is None:
            continue
        first = seen.setdefault(identifier, (index, route.resource))
        if first[1] != route.resource:
            yield Problem((*at, "resource"), f"routes[{first[0]}] tells something else of the same resource")


def _check_bound(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    if route.bound_tokens == "optional":
        return
    if route.access == "public":
        yield Problem((*at, "bound_tokens"), "a public route looks at no token")
    asked = settings.tls is not None and settings.tls.client_certificates != "none"
    if route.bound_tokens == "mtls" and not asked and settings.forwarding.client_certificate == "none":
        yield Problem(
            (*at, "bound_tokens"),
            "nobody asks clients for certificates: see tls.client_certificates, or"
            " forwarding.client_certificate",
        )


def _check_resource(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    resource = route.resource
    assert resource is not None
    if route.access == "public":
        yield Problem(at, "a public route protects nothing")
    if route.authorization in ("pass", "access_token"):
        yield Problem(
            (*at[:-1], "authorization"),
            "with resource: a token that names this resource is for nobody behind it. Exchange it for one"
            " that the upstream may have (exchange), or tell it who is calling (identity_headers, assertion)",
        )
    for number, scope in enumerate(resource.scopes):
        if not urls.is_scope(scope):
            yield Problem((*at, "scopes", number), "write one scope without white space, quote or backslash")
    if resource.documentation is not None:
        message = urls.judge_url(resource.documentation, insecure=settings.allow_insecure_http)
        if message is not None:
            yield Problem((*at, "documentation"), message)
    known = [settings.providers[name] for name in admitted(settings, route) if name in settings.providers]
    if not any(each.kind == "oidc" or each.introspection != "none" for each in known):
        yield Problem(at, "no provider that comes in here issues access tokens that could name it")
    yield from _check_identifier(settings, route, (*at, "identifier"))


def _check_identifier(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    identifier = identifier_of(settings, route)
    if identifier is None:
        yield Problem(at, "required: there are several hosts by which this route may be known")
        return
    message = urls.judge_url(identifier, insecure=settings.allow_insecure_http, query=False)
    parts = urls.split_url(identifier)
    if message is not None or parts is None:
        yield Problem(at, message or "not a URL")
        return
    if f"{parts.scheme}://{urls.authority_of(parts)}{parts.path}" != identifier:
        yield Problem(at, "write scheme and host in lower case, and no port that is the default")
    path, own = parts.path.rstrip("/"), route.path.rstrip("/")
    if own != path and not own.startswith(f"{path}/"):
        yield Problem(at, "its path has to be the route's own, or one above it")
    if parts.path != path:
        yield Problem(at, "write it without a slash at its end, as clients do")
    if own.startswith(WELL_KNOWN):
        yield Problem((*at[:-2], "path"), "the metadata of resources is there")
    if not _is_served(settings, route, parts):
        yield Problem(at, "its host has to be one that this route is for")


def _is_served(settings: Settings, route: RouteSettings, parts: SplitResult) -> bool:
    if route.hosts is not None:
        return may_meet((urls.with_port(parts),), tuple(host.lower() for host in route.hosts))
    sites = [each for url in site_urls(settings) if (each := urls.split_site(url)) is not None]
    return urls.authority_of(parts).encode() in authorities(
        urls.authority_of(each).encode() for each in sites
    )
