"""The gateway in other shapes: one route or many, one host or many, assertions for its upstream. Pure."""

import hashlib
from typing import Any

from gateway.syntax.api_keys import compose, id_of
from tests.bench import configurations
from tests.bench.configurations import Place
from tests.bench.website import ASSET_FOLDER, DOCUMENT_FOLDER, READ, TYPES, WRITTEN

ONE, ROUTES, HOSTS, DENIED = "one route", "64 routes", "1,000 hosts", "a million denied"
ASSERTED, MACHINES = "with assertions", "with opaque tokens and API keys"
MOST_ROUTES, MOST_HOSTS, MOST_KEYS = 64, 1000, 400


def host(number: int) -> str:
    """Return one of the hosts beside the first."""
    return f"site-{number:04d}.example.com"


def gateway(place: Place) -> dict[str, Any]:
    """Return the gateway's configuration in the shape of a place; any other shape is the normal one."""
    data = configurations.gateway(place)
    if place.shape in (ONE, HOSTS, DENIED):
        data["routes"] = [_route("/")]
    if place.shape == ROUTES:
        data["routes"] = _routes()
    if place.shape == ASSERTED:
        data["upstreams"]["app"]["assertion"] = {}
    if place.shape == MACHINES:
        data["providers"]["bench"]["introspection"] = "json"
        data["api_keys"] = {"keys": _keys()}
        data["routes"] = [each | {"api_keys": each["access"] != "public"} for each in data["routes"]]
    if place.shape == HOSTS:
        data["routes"] += [_route("/", hosts=[host(number)]) for number in range(1, MOST_HOSTS)]
    return data


def api_key(person: int) -> str:
    """Return the API key of a person."""
    return compose(b"%010d" % person, hashlib.sha256(b"%d" % person).digest())


def _keys() -> dict[str, dict[str, Any]]:
    """Return what the configuration has of everybody's API keys."""
    made = {}
    for person in range(MOST_KEYS):
        key = api_key(person)
        digest = hashlib.sha256(key.encode()).hexdigest()
        owner = f"user-{person:08d}"
        made[str(id_of(key))] = {"sha256": digest, "owner": owner, "scopes": ["api"], "expires": "2999-01-01"}
    return made


def _route(path: str, **more: object) -> dict[str, Any]:
    return {"path": path, "upstream": "app", "access": "required", "unauthenticated": "reject", **more}


def _routes() -> list[dict[str, Any]]:
    """Return the site's own routes, some below them, and services beside them."""
    scope = {"require": {"scopes": ["api"]}}
    routes = [_route("/"), _route(DOCUMENT_FOLDER), _route(ASSET_FOLDER), _route("/api/", **scope)]
    routes += [_route(f"{ASSET_FOLDER}{ending}/") for ending in TYPES]
    routes += [_route(f"{path}/", **scope) for path in READ]
    routes += [_route(f"{path}/", methods=["POST"], **scope) for path in WRITTEN]
    routes += [_route("/api/orders/export/", require={"groups": ["admins"]}), _route("/assets/private/")]
    while len(routes) < MOST_ROUTES:
        routes.append(_route(f"/services/{len(routes)}/", require={"groups": ["readers"]}))
    return routes
