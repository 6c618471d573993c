"""Which URL a route is known by as a protected resource (RFC 9728, RFC 8707)."""

from urllib.parse import SplitResult

from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.syntax.urls import authority_of, is_wild, split_url

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def identifier_of(settings: Settings, route: RouteSettings) -> str | None:
    """Return the identifier of a route's resource, None where it has none, or where nothing says it."""
    if route.resource is None:
        return None
    if route.resource.identifier is not None:
        return route.resource.identifier
    if len(settings.public_url) > 1 or route.hosts is not None or is_wild(settings.public_url[0]):
        return None
    parts = split_url(settings.public_url[0])
    return None if parts is None else f"{parts.scheme}://{authority_of(parts)}{route.path.rstrip('/')}"


def metadata_path(parts: SplitResult) -> str:
    """Return where the metadata of a resource is: the well-known path goes before its own (section 3.1)."""
    return WELL_KNOWN + parts.path.rstrip("/")
