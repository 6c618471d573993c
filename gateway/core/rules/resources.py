"""Routes that are protected resources: what is published of them, and where (RFC 9728)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.checks.several_providers import admitted
from gateway.config.resources import identifier_of, metadata_path
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.core.tokens.binding import TokenRules
from gateway.syntax.encoding import Json
from gateway.syntax.urls import authority_of, split_url, with_port


@dataclass(frozen=True, slots=True)
class Resource:
    """A protected resource.

    Attributes:
        identifier: its URL.
        metadata_url: where its metadata is.
        scopes: what clients are told to ask for.
        hosts: the authorities of its URL, with and without a default port.
        path: of its metadata.
        document: its metadata (RFC 9728 section 2).
    """

    identifier: str
    metadata_url: str
    scopes: tuple[str, ...]
    hosts: tuple[bytes, ...] = field(compare=False)
    path: bytes = field(compare=False)
    document: Mapping[str, Json] = field(repr=False, compare=False)


def compile_resource(route: RouteSettings, settings: Settings) -> Resource | None:
    """Compile a route's ``resource``, None where it has none.

    Raises:
        ValueError: nothing says what its URL is.
    """
    if route.resource is None:
        return None
    identifier = identifier_of(settings, route)
    parts = None if identifier is None else split_url(identifier)
    if identifier is None or parts is None:
        raise ValueError("routes: a resource has no identifier")
    path = metadata_path(parts)
    return Resource(
        identifier,
        f"{parts.scheme}://{authority_of(parts)}{path}",
        route.resource.scopes,
        tuple(dict.fromkeys(name(parts).encode() for name in (authority_of, with_port))),
        path.encode(),
        _document(route, settings, identifier),
    )


def _document(route: RouteSettings, settings: Settings, identifier: str) -> dict[str, Json]:
    resource = route.resource
    assert resource is not None
    names = admitted(settings, route)
    servers: list[Json] = [
        each.issuer
        for name, each in settings.providers.items()
        if name in names and (each.kind == "oidc" or each.introspection != "none")
    ]
    found: dict[str, Json] = {
        "resource": identifier,
        "authorization_servers": servers,
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(settings.dpop.algorithms),
    }
    if resource.scopes:
        found["scopes_supported"] = list(resource.scopes)
    if resource.name is not None:
        found["resource_name"] = resource.name
    if resource.documentation is not None:
        found["resource_documentation"] = resource.documentation
    if route.bound_tokens == "dpop":
        found["dpop_bound_access_tokens_required"] = True
    if route.bound_tokens == "mtls":
        found["tls_client_certificate_bound_access_tokens"] = True
    return found


def compile_token_rules(
    route: RouteSettings, resource: Resource | None, shared: dict[TokenRules, TokenRules]
) -> TokenRules | None:
    """Return what a route asks of tokens, None where that is nothing; equal rules are the same object."""
    rules = TokenRules(None if resource is None else resource.identifier, route.bound_tokens)
    return None if rules == TokenRules() else shared.setdefault(rules, rules)
