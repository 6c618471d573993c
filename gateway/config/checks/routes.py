"""Checks of the routes: every problem at once, each at the path of its setting."""

from collections.abc import Iterator
from urllib.parse import unquote

from gateway.config.checks.methods import check_methods
from gateway.config.checks.policies import check_policies, check_section
from gateway.config.checks.problems import Path, Problem, suggestion
from gateway.config.checks.rate_limits import judge_rate_limit
from gateway.config.hosts import may_meet, rival
from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import CorsSettings, RouteSettings
from gateway.syntax import urls
from gateway.syntax.targets import canonicalise, loose_reading
from gateway.syntax.tokens import is_token


def check_routes(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of the routes."""
    yield from gaps(settings)
    for index, route in enumerate(settings.routes):
        at: Path = ("routes", index)
        yield from _check_names(settings, route, at)
        yield from _check_hosts(settings, route, at)
        yield from check_methods(route.methods, (*at, "methods"))
        yield from _check_websocket_origins(route, (*at, "websocket_origins"))
        if isinstance(route.preflight, CorsSettings):
            yield from _check_cors(route.preflight, (*at, "preflight"))
        elif route.cors == "answer":
            yield Problem((*at, "cors"), "preflight says which origins may read answers: give it a section")
        if route.unsafe_from != "same-origin" and route.access == "public":
            yield Problem((*at, "unsafe_from"), "a public route looks at no session: remove it")


def gaps(settings: Settings) -> Iterator[Problem]:
    """Yield what would let somebody in by mistake if it went unnoticed, whoever compiles the routes.

    A path that matches nothing or too much, rules that never apply or ask for nothing, one that an earlier
    one hides.
    """
    yield from check_policies(settings)
    for index, route in enumerate(settings.routes):
        at: Path = ("routes", index)
        yield from _check_path(settings, route, at)
        yield from _check_raw_path(settings, index)
        yield from _check_require(settings, route, at)
        yield from _check_rate_limit(settings, route, at)
        if route.provider is not None and route.providers and route.provider not in route.providers:
            yield Problem(
                (*at, "provider"), "one of providers, or leave it out: logins use the first of them"
            )
        for earlier in range(index):
            if _are_same(settings.routes[earlier], route):
                yield Problem(
                    (*at, "path"), f"routes[{earlier}] has the same path, hosts and methods already"
                )
                break


def warn_routes(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed and perhaps not meant."""
    yield from _warn_spelling(settings)
    yield from _warn_exact(settings)
    for index, route in enumerate(settings.routes):
        if route.access != "public" and "unsafe_from" not in route.model_fields_set and _serves_others(route):
            yield Problem(
                ("routes", index, "unsafe_from"),
                "pages of other origins ask here, and what they change by a session is refused unless"
                " preflight lists them (CSRF): write same-origin if that is meant",
            )


def _serves_others(route: RouteSettings) -> bool:
    """Tell whether a route is meant for pages of other origins than its ``preflight`` lists."""
    allowed = route.preflight.origins if isinstance(route.preflight, CorsSettings) else ()
    return route.preflight == "forward" or bool(set(route.websocket_origins or ()) - set(allowed))


def _warn_spelling(settings: Settings) -> Iterator[Problem]:
    """Yield where the spelling of a path decides: an upstream may take others for the same (R88)."""
    for index, route in enumerate(settings.routes):
        letters = unquote(route.path)
        if letters == letters.lower() or check_path(route.path) is not None:
            continue
        at: Path = ("routes", index, "path")
        twin = next(
            (place for place, other in enumerate(settings.routes) if _differ_in_spelling(route, other)), None
        )
        if twin is None:
            yield Problem(at, "the path counts as it is written: its other spellings in case are refused")
        else:
            yield Problem(
                at,
                f"routes[{twin}] has this path in another case: an upstream that ignores case serves both by"
                " either rule",
            )


def _warn_exact(settings: Settings) -> Iterator[Problem]:
    """Yield where a slash at the end of a path is all that is between two rules (R88)."""
    for index, route in enumerate(settings.routes):
        for place, other in enumerate(settings.routes):
            if (
                route.exact
                and route.access == "required"
                and other.access != "required"
                and route.path != other.path
                and _differ_in_slash(route.path, other.path)
                and may_meet(route.hosts, other.hosts)
            ):
                yield Problem(
                    ("routes", index, "exact"),
                    f"routes[{place}] has this path but for a slash: an upstream that ignores it serves both"
                    " by either rule",
                )


def _differ_in_slash(path: str, other: str) -> bool:
    one, two = (loose_reading(each.encode()).rstrip(b"/") for each in (path, other))
    return one == two


def _differ_in_spelling(route: RouteSettings, other: RouteSettings) -> bool:
    return (
        route.path != other.path
        and loose_reading(route.path.encode()) == loose_reading(other.path.encode())
        and may_meet(route.hosts, other.hosts)
    )


def check_path(path: str) -> str | None:
    """Judge a path prefix: canonical, so that it can match what ``canonicalise`` returns (R56)."""
    if not path.startswith("/"):
        return "a path begins with /"
    if any(sign in path for sign in "?#*"):
        return "a path prefix has no query, fragment or wildcard: /api/ matches everything below it"
    target = canonicalise(path.encode()) if path.isascii() and ";" not in path else None
    if target is None or target.path != path.encode() or target.query:
        return (
            "not a canonical path: no //, no . or .. segments, no \\, no ;, nothing percent-encoded that need"
            " not be, other characters percent-encoded in upper case"
        )
    return None


def _check_path(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    at = (*at, "path")
    if (message := check_path(route.path)) is not None:
        yield Problem(at, message)
    elif len(settings.prefix) > 2 and (route.path + "/").startswith(settings.prefix):
        yield Problem(at, "the gateway's own endpoints are there (see prefix), this route would never match")
    replacement = route.replace_prefix
    if replacement is not None and (message := check_path(replacement)) is not None:
        yield Problem((*at[:-1], "replace_prefix"), message)
    elif replacement is not None and route.strip_prefix:
        yield Problem((*at[:-1], "strip_prefix"), "there is a replace_prefix: remove one of them")


def _check_raw_path(settings: Settings, index: int) -> Iterator[Problem]:
    route, at = settings.routes[index], ("routes", index, "raw_path")
    if not route.raw_path or check_path(route.path) is not None:
        return
    if route.exact:
        yield Problem(at, "what is below is passed on as it came, and exact leaves nothing below")
    if route.strip_prefix or route.replace_prefix is not None:
        yield Problem(at, "the target goes on as it came, so nothing of it can be replaced")
    if (other := rival(settings.routes, index)) is not None:
        yield Problem(
            at,
            f"what is below {route.path} may be read as {settings.routes[other].path}, which is under"
            f" routes[{other}]: give those hosts of their own, or leave raw_path out",
        )


def _check_names(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    names: tuple[tuple[str, str | None, dict[str, object]], ...] = (
        ("upstream", route.upstream, {**settings.upstreams}),
        ("provider", route.provider, {**settings.providers}),
    )
    for setting, name, known in names:
        if name is not None and name not in known:
            yield Problem(
                (*at, setting), f"no {setting} has this name in {setting}s{suggestion(name, known)}"
            )
    for place, name in enumerate(route.providers or ()):
        if name not in settings.providers:
            hint = suggestion(name, {**settings.providers})
            yield Problem((*at, "providers", place), f"no provider has this name in providers{hint}")
    if route.name is not None and not (route.name.isascii() and route.name.isprintable()):
        yield Problem((*at, "name"), "a route's name is printable ASCII")


def _check_hosts(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    public = _public_authorities(settings)
    for index, host in enumerate(route.hosts or ()):
        where: Path = (*at, "hosts", index)
        if not _is_pattern(host):
            yield Problem(where, "write a host in lower case, if need be with a port, or *.example.com")
        elif route.unauthenticated == "login" and not _is_site(host, public):
            yield Problem(
                where, "unauthenticated: login needs a host of public_url, to which the login can return"
            )
        elif route.access == "required" and route.unauthenticated == "auto" and not _can_log_in(host, public):
            yield Problem(
                where,
                "nobody can log in under this host: add it to public_url, or set unauthenticated: reject"
                " where bearer tokens alone come in",
            )


def _can_log_in(host: str, public: set[str]) -> bool:
    return _is_site(host, public) or any(
        host.startswith("*.") and each.partition(".")[2] == host[2:] for each in public
    )


def _is_site(host: str, public: set[str]) -> bool:
    return host in public or (not host.startswith("*.") and f"*.{host.partition('.')[2]}" in public)


def _public_authorities(settings: Settings) -> set[str]:
    return {
        name(parts)
        for parts in filter(None, map(urls.split_site, settings.public_url))
        for name in (urls.authority_of, urls.host_of, urls.with_port)
    }


def _is_pattern(host: str) -> bool:
    parts = urls.split_url(f"http://{host.removeprefix('*.')}")
    return (
        parts is not None
        and not (parts.path or parts.query or parts.username is not None)
        and not any(sign in host for sign in "@#?")
        and not host.endswith(".")
        and host == host.lower()
    )


def _check_require(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    require = route.require
    if require is None:
        return
    at = (*at, "require")
    if route.access == "public":
        yield Problem(at, "a public route looks at no identity, so nothing can be required: access: required")
    if route.access == "optional":
        yield Problem(
            at, "whoever leaves the credentials out passes an optional route: use access: required here"
        )
    yield from check_section(settings, require, at)


def _check_rate_limit(settings: Settings, route: RouteSettings, at: Path) -> Iterator[Problem]:
    limit = route.rate_limit
    if isinstance(limit, RateLimitSettings):
        yield from judge_rate_limit(limit, (*at, "rate_limit"))
    elif limit is not None and limit not in settings.rate_limits:
        known = {**settings.rate_limits}
        yield Problem((*at, "rate_limit"), f"rate_limits has no such name{suggestion(limit, known)}")


def _check_cors(cors: CorsSettings, at: Path) -> Iterator[Problem]:
    for index, origin in enumerate(cors.origins):
        if (message := urls.judge_origin(origin)) is not None:
            yield Problem((*at, "origins", index), message)
    yield from check_methods(cors.methods, (*at, "methods"))
    for index, name in enumerate(cors.headers):
        if not is_token(name) or name == "*":
            yield Problem((*at, "headers", index), "write the name of a header field; never *")
    for index, name in enumerate(cors.expose):
        if not is_token(name) or name == "*":
            yield Problem((*at, "expose", index), "write the name of a header field; never *")


def _check_websocket_origins(route: RouteSettings, at: Path) -> Iterator[Problem]:
    if route.websocket_origins is not None and route.access == "public":
        yield Problem(at, "a public route looks at no session, so anybody's pages may connect: remove it")
    for index, origin in enumerate(route.websocket_origins or ()):
        if (message := urls.judge_origin(origin)) is not None:
            yield Problem((*at, index), message)


def _are_same(one: RouteSettings, other: RouteSettings) -> bool:
    is_one_path = one.path.rstrip("/") == other.path.rstrip("/")
    if one.exact or other.exact:
        # one that covers a path alone goes before one that covers what is below, and /x is not /x/
        is_one_path = one.exact == other.exact and one.path == other.path
    return (
        is_one_path
        and _overlap(_folded(one.hosts), _folded(other.hosts))
        and _overlap(_with_head(_folded(one.methods)), _with_head(_folded(other.methods)))
    )


def _folded(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(name.lower() for name in names)


def _with_head(methods: tuple[str, ...] | None) -> tuple[str, ...] | None:
    # HEAD is GET without its content (RFC 9110 section 9.3.2)
    return (*methods, "head") if methods is not None and "get" in methods else methods


def _overlap(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    # a route that names hosts or methods is more specific than one that names none: both can match
    if one is None or other is None:
        return one is other
    return bool(set(one) & set(other))
