"""Checks of several providers beside one another: who comes in where, and who is told apart."""

from collections.abc import Iterator

from gateway.config.callbacks import callback_paths
from gateway.config.checks.problems import Problem
from gateway.config.checks.routes import check_path
from gateway.config.hosts import may_meet
from gateway.config.requirements import certain
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.syntax import urls

ENDPOINTS = frozenset(
    (
        *("jwks.json", "logo", "logo-dark", "login", "join", "ticket", "logout", "logged-out", "userinfo"),
        *("backchannel-logout", "frontchannel-logout", "sessions"),
    )
)
"""What stands below ``prefix`` beside the callbacks."""
CLIENT_KEYS = "jwks/"
"""Where, below ``prefix``, the keys of the gateway as a client are, by the provider's name."""


def check_callbacks(settings: Settings) -> Iterator[Problem]:
    """Yield where a provider's callback is no path of its own (RFC 9700 section 4.4)."""
    taken: dict[str, str] = {}
    for name, path in callback_paths(settings).items():
        at = ("providers", name, "callback")
        rest = path.removeprefix(settings.prefix)
        given = settings.providers[name].callback is not None
        if given and (rest in ("", path) or check_path(path) is not None or path.endswith("/")):
            yield Problem(at, "write a canonical path below prefix, such as /.gateway/callback/corporate")
        elif rest in ENDPOINTS or rest.startswith(CLIENT_KEYS):
            yield Problem(at, "this is another endpoint of the gateway")
        elif path in taken:
            yield Problem(
                at,
                f"provider {taken[path]} has this callback: each needs its own, or answers can be mixed up",
            )
        taken.setdefault(path, name)


def warn_providers(settings: Settings) -> Iterator[Problem]:
    """Yield where people of several providers could be taken for one another, or log each other out."""
    yield from _warn_each(settings)
    if len(settings.providers) < 2:
        return
    paths = callback_paths(settings)
    for name in list(paths)[1:]:
        if settings.providers[name].callback is None:
            yield Problem(
                ("providers", name, "callback"),
                f"logins there come back to {paths[name]}, since each provider has a callback of its own:"
                " register it there, or write the path that is registered; saying it here ends this warning",
            )
    guarded = [
        (index, route, admitted(settings, route))
        for index, route in enumerate(settings.routes)
        if route.access != "public"
    ]
    yield from _warn_mixed(
        [index for index, route, names in guarded if len(names) > 1 and not _names_issuers(settings, route)]
    )
    sites = _sites(settings)
    for place, (index, route, names) in enumerate(guarded):
        for earlier, other, others in guarded[:place]:
            if names.isdisjoint(others) and settings.login_host is not None:
                yield Problem(
                    ("routes", index),
                    f"routes[{earlier}] admits other providers alone: with login_host a browser has one"
                    " session for all sites, so going from one to the other is a new login each time, and"
                    " ends the session of before; let both admit whoever goes to both",
                )
                break
            if names.isdisjoint(others) and _share_one(sites, route, other):
                yield Problem(
                    ("routes", index),
                    f"routes[{earlier}] is on the same site and admits other providers alone: a browser has"
                    " one session for each public_url, so going from one to the other is a new login each"
                    " time; give them hosts of their own",
                )
                break


def _warn_each(settings: Settings) -> Iterator[Problem]:
    if any(url.startswith("http:") for url in settings.public_url):
        for name, provider in settings.providers.items():
            if provider.response_mode == "form_post":
                yield Problem(
                    ("providers", name, "response_mode"),
                    "browsers send no cookie with another site's form over plain http: logins fail there",
                )
    for index, route in enumerate(settings.routes):
        if route.access == "public" and (route.provider or route.providers):
            setting = "provider" if route.provider else "providers"
            yield Problem(
                ("routes", index, setting), "a public route looks at nobody, so this restricts nothing"
            )


def _warn_mixed(mixed: list[int]) -> Iterator[Problem]:
    if mixed:
        shown = ", ".join(f"routes[{index}]" for index in mixed[:5]) + (", ..." if mixed[5:] else "")
        yield Problem(
            ("identity_headers",),
            f"{shown}: people of several providers come in, and nothing tells the upstream whose alice"
            " it is: add X-Forwarded-Issuer: iss, or give the routes providers of one name",
        )


def admitted(settings: Settings, route: RouteSettings) -> frozenset[str]:
    """Return the names of the providers whose people come in on a route."""
    if route.providers is not None:
        return frozenset(route.providers)
    return frozenset(settings.providers) if route.provider is None else frozenset((route.provider,))


def _names_issuers(settings: Settings, route: RouteSettings) -> bool:
    told = settings.identity_headers if route.identity_headers is None else route.identity_headers
    asks = any("iss" in (each.claims or {}) for each in certain(settings, route))
    return asks or "iss" in told.values()


def _sites(settings: Settings) -> list[str]:
    """Return the authority of each ``public_url`` with its port written out."""
    return [urls.with_port(parts) for parts in map(urls.split_site, settings.public_url) if parts]


def _share_one(sites: list[str], one: RouteSettings, other: RouteSettings) -> bool:
    return any(may_meet(one.hosts, (site,)) and may_meet(other.hosts, (site,)) for site in sites)
