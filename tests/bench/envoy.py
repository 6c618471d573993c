"""Envoy's configuration, as plain data. Pure."""

from typing import Any

from tests.bench.configurations import Place
from tests.bench.material import AUDIENCE

CACHED_TOKENS = 20_000
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_NETWORK = "type.googleapis.com/envoy.extensions.filters.network"


def envoy(place: Place, jwks: str, *, cache: bool) -> dict[str, Any]:
    """Return Envoy with jwt_authn; with or without its cache of verified tokens."""
    return {
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "public",
                    "address": _address(place.port),
                    "filter_chains": [{"filters": [_connection_manager(place, jwks, cache=cache)]}],
                }
            ],
            "clusters": [_cluster(place.material.upstream_port)],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(port: int) -> dict[str, Any]:
    return {
        "name": "app",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "app",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }


def _provider(place: Place, jwks: str, *, cache: bool) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "issuer": place.material.issuer,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": jwks},
        "forward": False,
        "claim_to_headers": [{"header_name": "X-Forwarded-User", "claim_name": "sub"}],
    }
    if cache:
        provider["jwt_cache_config"] = {"jwt_cache_size": CACHED_TOKENS}
    return provider


def _connection_manager(place: Place, jwks: str, *, cache: bool) -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_NETWORK}.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "public",
            "use_remote_address": True,
            # a proxy in front: the last address that it tells is the client's
            **({"xff_num_trusted_hops": 1} if place.is_proxied else {}),
            "access_log": [
                {
                    "name": "envoy.access_loggers.file",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                        "path": str(place.folder / "access.log"),
                    },
                }
            ],
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
                    }
                ]
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.jwt_authn",
                    "typed_config": {
                        "@type": f"{_FILTERS}.jwt_authn.v3.JwtAuthentication",
                        "providers": {"bench": _provider(place, jwks, cache=cache)},
                        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
                    },
                },
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_FILTERS}.router.v3.Router"},
                },
            ],
        },
    }
