"""Which requests go where, and who is asked for: upstreams, public paths, paths of machines.

What there are lists that are gone through for each request are here routes, of which the longest path wins.
So a route is made for each path that any of the lists names, with all that the lists say of it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.cli.oauth2_proxy.addresses import split
from gateway.cli.oauth2_proxy.draft import Draft, Upstream
from gateway.cli.oauth2_proxy.options import Options
from gateway.cli.oauth2_proxy.patterns import NoPrefix, Place, places_of
from gateway.cli.oauth2_proxy.server import written
from gateway.config.checks.routes import check_path
from gateway.syntax.methods import METHODS

_NEGATED = re.compile(r"!?=")
# of a route that looks at an identity, and of every route
_OF_IDENTITIES = ("unauthenticated", "authorization")
_OF_ALL = ("request_headers", "response_headers")
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Public:
    """What needs nobody: the places, or all but them, by one method or every one (empty)."""

    places: tuple[Place, ...]
    method: str = ""
    is_negated: bool = False

    def covers(self, place: Place) -> bool:
        """Tell whether it holds for a place, of all that are named anywhere."""
        return any(each.covers(place) for each in self.places) is not self.is_negated


def put_upstreams(options: Options, draft: Draft) -> None:
    """Read the upstreams of the usual file."""
    for text in options.items("upstreams"):
        _put_upstream(options, draft, text)


def _put_upstream(options: Options, draft: Draft, text: str) -> None:
    parts = split(text)
    settings = upstream_settings(
        timeout=options.seconds("upstream_timeout"),
        passes_host=options.flag("pass_host_header"),
        keeps_alive=not options.flag("disable_keep_alives"),
        verifies=parts.scheme != "https" or not options.flag("ssl_upstream_insecure_skip_verify"),
    )
    if parts.scheme == "static":
        if parts.netloc not in ("200", "202", "204"):
            draft.error("upstreams", "static:// with another status than of a success answers nothing here")
    elif parts.scheme in ("http", "https") and parts.hostname:
        path = parts.path or "/"
        place = Place(path, exact=not path.endswith("/"))
        if is_ours_to_give(draft, "upstreams", place):
            draft.upstreams.append(Upstream(place, server_of(text), settings))
    elif parts.scheme == "unix" and parts.path:
        draft.upstreams.append(Upstream(Place("/"), f"unix:{parts.path}", settings))
    elif parts.scheme == "file":
        draft.error("upstreams", "no files are served here: put a server of files behind it")
    else:
        draft.error("upstreams", "one of them is no http://, https:// or unix:// URL")


def server_of(url: str) -> str:
    """Return a server as we have it: with a port, without a path."""
    parts = split(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def upstream_settings(
    *, timeout: float, passes_host: bool, keeps_alive: bool, verifies: bool
) -> dict[str, Any]:
    """Return what an upstream's section has beside its server."""
    settings: dict[str, Any] = {"response_timeout": written(timeout)} if timeout > 0 else {}
    if not passes_host:
        settings["host"] = "rewrite"
    if not keeps_alive:
        settings["max_idle"] = 0
    if not verifies:
        settings["tls"] = {"verify": False}
    return settings


def put_routes(options: Options, draft: Draft) -> None:
    """Put in upstreams and routes."""
    public = _public(options, draft)
    machines = _places("api_routes", options.items("api_routes"), draft)
    if not draft.upstreams:
        _put_asked(draft)
    elif options.flag("set_xauthrequest"):
        draft.sections["asked_by"] = ["nginx"]
        draft.note(
            "set_xauthrequest",
            "the files in config/proxies/ show how nginx asks (docs/decision-endpoints.md); where it forwards"
            " everything here instead, take asked_by and the X-Auth-Request fields out",
        )
    names = _put_names(draft)
    named = [each.place for each in draft.upstreams]
    named += [place for rule in public for place in rule.places] + machines
    routes: list[dict[str, Any]] = []
    for place in _distinct(named):
        upstream = _longest(draft.upstreams, place)
        if upstream is not None:
            route = _route(options, draft, place, machines) | {
                "upstream": names[upstream.server, upstream.place]
            }
            routes += _guarded(route | dict(upstream.route), draft, place, public)
    draft.sections["routes"] = routes


def _put_asked(draft: Draft) -> None:
    """Put in that a proxy asks and forwards by itself, where nothing is forwarded from here."""
    draft.upstreams.append(Upstream(Place("/"), _NOWHERE))
    draft.sections["asked_by"] = ["nginx"]
    draft.note(
        "upstreams",
        "nothing is forwarded from here: nginx asks at <prefix>decide/nginx (docs/decision-endpoints.md), or"
        " another proxy that asked_by names",
    )
    if "trusted_proxies" not in draft.sections:
        draft.error(
            "reverse_proxy", "the proxy that asks is believed about its client: set it, and trusted_proxy_ips"
        )
    if draft.sections.get("session", {}).get("mode") != "redis":
        draft.sections.setdefault("session", {})["mode"] = "redis"
        draft.note("session_store_type", "redis: nginx passes on one cookie in one line, and so a short one")


def _put_names(draft: Draft) -> dict[tuple[str, Place], str]:
    names: dict[tuple[str, Place], str] = {}
    sections: dict[str, Any] = {}
    for number, each in enumerate(draft.upstreams):
        section = {"servers": [each.server], **each.settings}
        known = next((name for name, other in sections.items() if other == section), None)
        name = known or ("app" if not number else f"app-{number + 1}")
        sections[name] = section
        names[each.server, each.place] = name
    draft.sections["upstreams"] = sections
    return names


def _route(options: Options, draft: Draft, place: Place, machines: list[Place]) -> dict[str, Any]:
    route: dict[str, Any] = {"path": place.path}
    if place.exact:
        route["exact"] = True
    route |= {"upstream": "", "access": "required"}
    if options.flag("force_json_errors") or any(each.covers(place) for each in machines):
        route["unauthenticated"] = "reject"
    if options.flag("skip_auth_preflight"):
        route["preflight"] = "forward"
    # what an application asks for by itself reaches it there
    return route | {"authorization": "pass"} | draft.route


def _guarded(route: dict[str, Any], draft: Draft, place: Place, public: list[Public]) -> list[dict[str, Any]]:
    """Return the routes of a place: who is asked for nothing, by which methods, and the others."""
    methods = {rule.method for rule in public if rule.covers(place)}
    kept = {name: route[name] for name in route if name not in (*draft.route, *_OF_IDENTITIES)}
    kept |= {name: draft.route[name] for name in _OF_ALL if name in draft.route}
    kept |= {"access": "public", "authorization": "pass"}
    if "" in methods:
        return [kept]
    if not methods:
        return [route]
    named = {"name": f"{place.path} for anybody", "methods": sorted(methods)}
    return [kept | named, route]


def _public(options: Options, draft: Draft) -> list[Public]:
    found: list[Public] = []
    for text in options.items("skip_auth_regex"):
        found += _rule("skip_auth_regex", text, "", text, draft)
    for text in options.items("skip_auth_routes"):
        parts = _NEGATED.split(text, maxsplit=1)
        method, expression = ("", parts[0]) if len(parts) == 1 else (parts[0].upper(), parts[1])
        # as there: whatever has != anywhere is one that negates
        found += _rule("skip_auth_routes", text, method, expression, draft, is_negated="!=" in text)
    return found


def _rule(
    option: str, text: str, method: str, expression: str, draft: Draft, *, is_negated: bool = False
) -> list[Public]:
    if method and method.encode("utf-8", "replace") not in METHODS:
        draft.error(option, f"{_shown(text)}: what stands before = is no method of requests")
        return []
    places = _places(option, [expression], draft, text)
    if is_negated and any(not each.is_whole for each in places):
        draft.error(
            option, f"{_shown(text)}: it is no path and no directory: end it with a slash, (/|$), or $ alone"
        )
        return []
    if not places:
        return []
    return [Public(tuple(places), method, is_negated)]


def _places(option: str, expressions: Iterable[str], draft: Draft, text: str = "") -> list[Place]:
    found: list[Place] = []
    for expression in expressions:
        try:
            places = places_of(expression)
        except NoPrefix as error:
            draft.error(
                option, f"{_shown(text or expression)}: this regular expression is no prefix: {error}"
            )
            continue
        places = [each for each in places if is_ours_to_give(draft, option, each)]
        for each in places:
            if not each.is_whole:
                draft.note(
                    option,
                    f"{_shown(text or expression)}: {each.path} and all below it, but not {each.path}x",
                )
        found += places
    return found


def is_ours_to_give(draft: Draft, option: str, place: Place) -> bool:
    """Tell whether there can be a route for a place, and say why not."""
    if (message := check_path(place.path)) is not None:
        draft.error(option, f"{_shown(place.path)}: {message}")
        return False
    prefix = draft.sections.get("prefix", "/")
    if len(prefix) > 1 and f"{place.path}/".startswith(prefix):
        draft.note(option, f"{place.path}: the gateway's own endpoints are there")
        return False
    return True


def _distinct(places: Iterable[Place]) -> list[Place]:
    """Return the places, each once: with and without its last slash a prefix is the same here."""
    found: dict[tuple[str, bool], Place] = {}
    for each in places:
        found.setdefault((each.path if each.exact else each.path.rstrip("/"), each.exact), each)
        if each.exact and each.path != "/":
            # a path that is another's but for its last slash leads nowhere unless a route names it (R88)
            twin = each.path.rstrip("/") if each.path.endswith("/") else f"{each.path}/"
            found.setdefault((twin, True), Place(twin, exact=True))
    return sorted(found.values(), key=lambda each: (-len(each.path), each.path, not each.exact))


def _longest(upstreams: list[Upstream], place: Place) -> Upstream | None:
    fitting = [each for each in upstreams if each.place.covers(place)]
    return max(fitting, key=lambda each: (len(each.place.path), each.place.exact), default=None)


def _shown(text: str) -> str:
    clean = "".join(sign if sign.isprintable() else "?" for sign in text)
    return clean if len(clean) <= 100 else f"{clean[:97]}..."
