"""The gateway in other shapes: one route or many, one host or many, assertions for its upstream. Pure."""

from typing import Any

from tests.bench import configurations
from tests.bench.configurations import Place
from tests.bench.website import ASSET_FOLDER, DOCUMENT_FOLDER, READ, TYPES, WRITTEN

ONE, ROUTES, HOSTS, DENIED = "one route", "64 routes", "1,000 hosts", "a million denied"
ASSERTED = "with assertions"
MOST_ROUTES, MOST_HOSTS = 64, 1000


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
    if place.shape == HOSTS:
        data["routes"] += [_route("/", hosts=[host(number)]) for number in range(1, MOST_HOSTS)]
    return data


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
