"""The route that a host, a canonical path and a method lead to (R56)."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.config.callbacks import login_providers
from gateway.config.checks.routes import gaps
from gateway.config.introspection import introspecting
from gateway.config.requirements import default_of
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import CorsSettings, RouteSettings
from gateway.core.headers.downstream import SetFields
from gateway.core.rules.assertions import Assertion, compile_assertions
from gateway.core.rules.policies import Require, compile_require
from gateway.core.rules.prefixes import Prefixes, for_method, prefixes_of
from gateway.core.rules.rate_limit import RateLimit
from gateway.core.rules.resources import Resource, compile_resource, compile_token_rules
from gateway.core.rules.route_parts import methods_of, prefix_line, rate_limit_of, replacement_of
from gateway.core.rules.sends import Sends, compile_answers, compile_sends
from gateway.core.tokens.binding import TokenRules
from gateway.syntax.authority import authorities
from gateway.syntax.targets import loose_reading
from gateway.syntax.urls import authority_of, split_site, with_port

_MOST_HOSTS: Final = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One rule, compiled. ``path`` is a prefix without a trailing slash, so the root's is empty.

    It covers itself and everything below it: ``/api`` covers ``/api`` and ``/api/x``, not ``/apix``.
    ``exact`` is the very path that it covers alone, None where it covers what is below as well.
    ``hosts`` None: every known host, so no rule for one host opens what a rule for all of them guards. Known
    are the ``public_url``s and what any route names. ``methods`` None: every method.

    ``provider`` is where a login goes, None: the default. ``providers`` are those whose people come in, None:
    all of them; somebody of another provider counts as nobody here (R70). ``has_login`` tells whether any of
    them is one that people log in at; ``choices`` are those among which a person chooses, none where a login
    has one place to go.

    ``parameters`` are more ones of the authorization request of logins that begin here.

    ``sets_cors`` tells that the gateway says who may read the upstream's answers, by ``preflight``.
    ``unsafe_from`` is whose pages may use a session to change something (R81).

    ``most_staleness`` is how many seconds old the denylist's replica may be, None where its age does not
    matter.

    ``timeouts`` bound the wait for the response head and the silence within its body (seconds), None where
    the upstream's hold. ``replacement`` is what the upstream sees in place of ``path``, also without a
    trailing slash; None where it sees the path as it was decided on. ``prefix_line`` then tells it the path.

    ``sends`` is what the upstream gets beside what passes and the common identity headers, ``answers`` what
    is set in its responses; None where that is nothing.
    ``tokens`` is what access tokens are asked for beside what their provider's section says, ``resource``
    what clients are told of it as a protected resource; None where that is nothing. ``publishes`` is the
    resource whose metadata this answers with, None where requests go on to an upstream.
    ``takes_keys`` tells that API keys count here. ``introspects`` is the provider that is asked about opaque
    tokens, None where nobody is.
    """

    name: str
    path: bytes
    upstream: str
    access: Literal["public", "optional", "required"]
    hosts: tuple[bytes, ...] | None = None
    methods: frozenset[bytes] | None = None
    unauthenticated: Literal["auto", "login", "reject"] = "auto"
    provider: str | None = None
    providers: frozenset[str] | None = None
    require: Require = field(default_factory=Require)
    parameters: tuple[tuple[str, str], ...] = ()
    preflight: Literal["refuse", "forward"] | CorsSettings = "refuse"
    sets_cors: bool = False
    unsafe_from: Literal["same-origin", "same-site", "anywhere"] = "same-origin"
    authorization: Literal["pass", "strip"] = "strip"
    most_staleness: float | None = None
    max_body: int | None = None
    timeouts: tuple[float | None, float | None] = (None, None)
    replacement: bytes | None = None
    prefix_line: bytes = b""
    sends: Sends | None = None
    answers: SetFields | None = None
    rate_limit: RateLimit | None = None
    websocket_origins: frozenset[bytes] = frozenset()
    raw_path: bool = False
    has_login: bool = True
    choices: tuple[str, ...] = ()
    exact: bytes | None = None
    contact: str | None = None
    takes_keys: bool = False
    introspects: str | None = None
    tokens: TokenRules | None = None
    resource: Resource | None = None
    publishes: Resource | None = None

    def admits(self, provider: str) -> bool:
        """Tell whether sessions and tokens of a provider, by its name, count on this route."""
        return self.providers is None or provider in self.providers

    def forwarded(self, path: bytes) -> bytes:
        """Return what the upstream sees of a canonical path that this route has matched.

        Only the route's own prefix is replaced, at a segment's end: what follows it, which the decision
        has judged, keeps every byte, and the result is canonical as well (R56).
        """
        if self.replacement is None:
            return path
        return self.replacement + path[len(self.path) :] or b"/"


@dataclass(frozen=True, slots=True)
class _HostRoutes:
    """``is_plain`` tells that every route's own path is its loose reading."""

    exact: Prefixes[Route]
    loose: Prefixes[Route]
    is_plain: bool


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All routes. ``sites`` are the authorities of every ``public_url``, with and without a default port.

    ``by_method`` tells whether the method matters to which route it is, ``by_address`` whether any route
    counts requests by address.
    """

    routes: tuple[Route, ...]
    sites: Container[bytes]
    by_method: bool = False
    by_address: bool = False
    _patterns: frozenset[bytes] = frozenset()
    _tables: dict[frozenset[bytes], _HostRoutes] = field(default_factory=dict, repr=False, compare=False)
    _hosts: dict[bytes, _HostRoutes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def limits(self) -> frozenset[RateLimit]:
        """Every rate limit of a route."""
        return frozenset(route.rate_limit for route in self.routes if route.rate_limit is not None)

    def knows(self, host: bytes) -> bool:
        """Tell whether any route is meant for this host (lower case, with its port when one was sent)."""
        return self._of_host(host) is not None

    def match(self, host: bytes, path: bytes, method: bytes) -> Route | None:
        """Return the route of a canonical path, or None.

        The longest prefix wins; then a route that names the host, then its wildcard, then one that names no
        host; then one that names the port; then one that names the method. None also where a laxer reading of
        the path (see ``loose_reading``) would lead elsewhere: such an upstream would serve what another rule
        guards.
        """
        table = self._hosts.get(host) or self._of_host(host)
        if table is None:
            return None
        exact = table.exact
        if exact.whole:
            return self._match_whole(table, path, method)
        end = len(path)
        if end > exact.longest:
            end = path.rfind(b"/", 0, exact.longest + 1)
        route = exact.any_method.get(path[:end]) or exact.first(path, method)
        if route is None:
            return None
        loose = loose_reading(path) if b"%" in path or b";" in path else path.lower()
        # "/admin" is its own loose reading, and also one of a route "/Admin" (R88)
        if (loose != path or not table.is_plain) and route not in table.loose.at_longest(loose, method):
            return None
        return route

    def _match_whole(self, table: _HostRoutes, path: bytes, method: bytes) -> Route | None:
        """Return the route of a canonical path where some cover a path alone, which go before all others.

        A path that reads as theirs but for its last slash is theirs as well to many an upstream, so it leads
        nowhere, unless a route names that very path (R88).
        """
        whole = table.exact.at_whole(path, method)
        route = whole[0] if whole else table.exact.first(path, method)
        loose = loose_reading(path)
        name = loose.rstrip(b"/")
        fitting = table.loose.at_whole(name, method)
        if fitting:
            fitting += for_method(table.loose.routes.get(name, ()), method)
        return route if route in (fitting or table.loose.at_longest(loose, method)) else None

    def match_literal(self, host: bytes, path: bytes, method: bytes) -> Route | None:
        """Return the route that a path is below byte for byte, if it takes whatever follows (R79)."""
        table = self._of_host(host)
        route = table.exact.first(path, method) if table is not None else None
        return route if route is not None and route.raw_path else None

    def of_all_below(self, host: bytes, directory: bytes, method: bytes) -> Route | None:
        """Return the one route of everything below a directory; None where there are several, however read.

        The directory ends with a slash. Below it is what follows it with any plain segments: without ``;``,
        ``%`` or dot segments.
        """
        route, table = self.match(host, directory, method), self._of_host(host)
        if route is None or table is None or route.exact is not None:
            return None
        loose = loose_reading(directory)
        if route not in table.loose.at_longest(loose, method):
            return None
        is_divided = any(
            path.startswith(start)
            for prefixes, start in ((table.exact, directory), (table.loose, loose))
            for path in (*prefixes.routes, *prefixes.whole)
        )
        return None if is_divided else route

    def _of_host(self, host: bytes) -> _HostRoutes | None:
        table = self._hosts.get(host)
        if table is not None:
            return table
        names = _names(host, self._patterns)
        if not names and host not in self.sites:
            return None
        # as many tables as the configuration has combinations, however many hosts a wildcard covers
        table = self._tables.get(names)
        if table is None:
            table = self._tables[names] = self._build(names)
        if len(self._hosts) < _MOST_HOSTS:
            self._hosts[host] = table
        return table

    def _build(self, names: frozenset[bytes]) -> _HostRoutes:
        ranked: list[tuple[int, bool, bool, int, Route]] = []
        for order, route in enumerate(self.routes):
            own = names.intersection(route.hosts or ())
            if own or route.hosts is None:
                wildcard = all(name.startswith(b"*") for name in own)
                rank = wildcard + (route.hosts is None)
                any_port = not any(b":" in name.rpartition(b"]")[2] for name in own)
                ranked.append((rank, any_port, route.methods is None, order, route))
        routes = [route for *_, route in sorted(ranked, key=lambda each: each[:4])]
        return _HostRoutes(
            exact=prefixes_of(routes, lambda path: path),
            # many an upstream takes a path for the same with and without its last slash
            loose=prefixes_of(routes, loose_reading, lambda path: loose_reading(path).rstrip(b"/")),
            is_plain=all(loose_reading(route.path) == route.path for route in routes),
        )


def _names(host: bytes, patterns: frozenset[bytes]) -> frozenset[bytes]:
    """Return the patterns that cover a host, itself or by a wildcard; one without a port is for every port.

    A wildcard stands for exactly one label, as in certificates (RFC 9525 section 6.3).
    """
    found: set[bytes] = set()
    name, colon, port = host.rpartition(b":")
    has_port = bool(colon) and port.isdigit() and b":" not in name.rpartition(b"]")[2]
    for each in (host, name) if has_port else (host,):
        label, dot, rest = each.partition(b".")
        found.add(each)
        if label and dot:
            found.add(b"*." + rest)
    return frozenset(found & patterns)


def covers_host(route: Route, host: bytes) -> bool:
    """Tell whether a route is for a host that is known (lower case, with its port when one was sent)."""
    return route.hosts is None or bool(_names(host, frozenset(route.hosts)))


def _sites(settings: Settings) -> Container[bytes]:
    found = [parts for url in settings.public_url if (parts := split_site(url)) is not None]
    # a client may spell the default port out (RFC 9110 section 4.2.3)
    return authorities(name(parts).encode() for parts in found for name in (authority_of, with_port))


def _providers(route: RouteSettings, settings: Settings) -> tuple[str | None, frozenset[str] | None]:
    """Return the provider of a route's logins, and those that it admits; None, None: whatever there is."""
    admitted = route.providers or (() if route.provider is None else (route.provider,))
    if not admitted:
        return None, None
    can = login_providers(settings)
    return route.provider or next((name for name in admitted if name in can), None), frozenset(admitted)


def _choices(route: RouteSettings, settings: Settings) -> tuple[str, ...]:
    """Return the providers among which a person chooses, in the order of their configuration."""
    if not settings.choose_provider or route.provider is not None:
        return ()
    admitted = [name for name in login_providers(settings) if name in (route.providers or settings.providers)]
    return tuple(admitted) if len(admitted) > 1 else ()


def _compile_route(
    route: RouteSettings,
    settings: Settings,
    assertion: Assertion | None,
    shared: dict[TokenRules, TokenRules],
) -> Route:
    resource = compile_resource(route, settings)
    provider, providers = _providers(route, settings)
    return Route(
        name=route.name or route.path,
        path=route.path.encode().rstrip(b"/"),
        upstream=route.upstream,
        access=route.access,
        hosts=None if route.hosts is None else tuple(host.lower().encode() for host in route.hosts),
        methods=methods_of(route),
        unauthenticated=route.unauthenticated,
        provider=None if (choices := _choices(route, settings)) else provider,
        providers=providers,
        choices=choices,
        require=_require(route, settings),
        parameters=tuple(route.extra_authorization_parameters.items()),
        preflight=route.preflight,
        sets_cors=route.cors == "answer",
        unsafe_from=route.unsafe_from,
        authorization="pass" if route.authorization == "pass" else "strip",
        most_staleness=_most_staleness(route, settings),
        max_body=route.max_body,
        timeouts=(route.timeout, route.idle_timeout),
        replacement=replacement_of(route),
        prefix_line=prefix_line(route),
        sends=compile_sends(route, settings, assertion),
        answers=compile_answers(route),
        rate_limit=rate_limit_of(route, settings),
        websocket_origins=frozenset(origin.encode() for origin in route.websocket_origins or ()),
        raw_path=route.raw_path,
        has_login=not set(login_providers(settings)).isdisjoint(providers or settings.providers),
        exact=route.path.encode() if route.exact else None,
        contact=route.contact or settings.contact,
        introspects=introspecting(settings, route),
        takes_keys=route.api_keys and settings.api_keys is not None,
        resource=resource,
        tokens=compile_token_rules(route, resource, shared),
    )


def _metadata_routes(routes: Iterable[Route]) -> Iterator[Route]:
    """Yield the routes under which the metadata of resources is, one for each resource."""
    seen: set[Resource] = set()
    for route in routes:
        resource = route.resource
        if resource is not None and resource not in seen:
            seen.add(resource)
            yield Route(
                name=f"{route.name} (metadata)",
                path=resource.path,
                exact=resource.path,
                upstream=route.upstream,
                access="public",
                hosts=resource.hosts,
                publishes=resource,
            )


def _require(route: RouteSettings, settings: Settings) -> Require:
    return compile_require(
        route.require,
        settings.groups_claim,
        settings.roles_claim,
        policies=settings.policies,
        default=default_of(settings, route),
    )


def _most_staleness(route: RouteSettings, settings: Settings) -> float | None:
    when_stale = route.when_stale or settings.denylist.when_stale
    return settings.denylist.max_staleness if when_stale == "refuse" else None


def compile_routes(settings: Settings) -> RouteTable:
    """Compile the routes.

    Raises:
        ValueError: what would open a gap if it went unnoticed, all at once, a line each: whatever
            ``gaps`` finds, and a ``require`` that names no policy.
    """
    if problems := [str(each) for each in gaps(settings)]:
        raise ValueError("\n".join(problems))
    assertions = compile_assertions(settings)
    shared: dict[TokenRules, TokenRules] = {}
    routes = tuple(
        _compile_route(each, settings, assertions.get(each.upstream), shared) for each in settings.routes
    )
    routes = (*routes, *_metadata_routes(routes))
    return RouteTable(
        routes=routes,
        sites=_sites(settings),
        by_method=any(route.methods is not None for route in routes),
        by_address=any(each.rate_limit is not None and each.rate_limit.by == "address" for each in routes),
        _patterns=frozenset(host for route in routes for host in route.hosts or ()),
    )
