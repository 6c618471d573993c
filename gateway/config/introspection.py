"""Which provider is asked about opaque tokens on a route."""

from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings


def introspecting(settings: Settings, route: RouteSettings) -> str | None:
    """Return the provider that is asked on a route, None where nobody is.

    An opaque token does not say whose it is, and a provider that is asked gets to see it. So it is the one
    provider that the route admits, or the one that it names among several; never a guess.
    """
    admitted = route.providers or ((route.provider,) if route.provider else tuple(settings.providers))
    name = route.provider if len(admitted) > 1 else admitted[0]
    provider = settings.providers.get(name) if name is not None else None
    return name if provider is not None and provider.introspection != "none" else None
