"""Checks of introspection: who may ask, and who is asked on a route."""

from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.introspection import introspecting
from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.root import Settings

_LONGEST_REFUSED = 60.0
_LONG = 300.0


def check_introspection(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    """Yield every problem of a provider's introspection."""
    if provider.introspection == "none":
        if provider.introspection_endpoint is not None:
            yield Problem((*at, "introspection_endpoint"), "introspection is none, so it is never asked")
        return
    if not provider.client_id:
        yield Problem((*at, "client_id"), "required: the introspection endpoint has to know who asks")
    elif provider.client_auth == "none":
        yield Problem((*at, "introspection"), "a public client may not ask (RFC 7662 section 2.1)")
    if provider.introspection_refused_for > _LONGEST_REFUSED:
        yield Problem((*at, "introspection_refused_for"), "at most 60s: a token may become good")


def warn_introspection(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed of introspection and hardly meant."""
    for name, provider in settings.providers.items():
        if provider.introspection != "none" and provider.introspection_max_age > _LONG:
            yield Problem(
                ("providers", name, "introspection_max_age"),
                "a token that the provider revokes counts here for so long",
            )
    for index, route in enumerate(settings.routes):
        if route.access == "public" or introspecting(settings, route) is not None:
            continue
        admitted = route.providers or ((route.provider,) if route.provider else tuple(settings.providers))
        known = [settings.providers[each] for each in admitted if each in settings.providers]
        if any(each.introspection != "none" for each in known):
            yield Problem(
                ("routes", index),
                "opaque tokens are refused: several providers come in here, and a token does not say whose"
                " it is; name one of them in provider",
            )
