"""Checks of what a provider is for, and which settings such a one has no use for."""

from collections.abc import Iterator

from gateway.config.callbacks import login_providers
from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.root import Settings

_OF_LOGINS = (
    *("callback", "end_session_endpoint", "frontchannel_logout", "response_mode"),
    *("extra_authorization_parameters", "userinfo"),
)


def check_kind(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    """Yield what a provider has no use for, or cannot do without."""
    if not provider.audiences and not provider.clients_without_aud:
        yield Problem((*at, "audiences"), "required: empty would refuse every bearer token")
    if provider.bearer_only:
        for setting in _OF_LOGINS:
            if setting in provider.model_fields_set:
                yield Problem((*at, setting), "nobody logs in at a provider that is bearer_only: remove it")


def warn_kinds(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed of a provider and a risk all the same."""
    for name, provider in settings.providers.items():
        if provider.clients_without_aud:
            yield Problem(
                ("providers", name, "clients_without_aud"),
                "a token without aud is meant for nobody in particular: whoever gets to see one that these"
                " clients hold, at whatever API they use it, can come in here with it",
            )


def check_logins(settings: Settings) -> Iterator[Problem]:
    """Yield the routes that send people to log in where nobody can."""
    can = set(login_providers(settings))
    for index, route in enumerate(settings.routes):
        if route.provider in settings.providers and route.provider not in can:
            yield Problem(
                ("routes", index, "provider"),
                "this provider is bearer_only: nobody logs in there; name it in providers",
            )
        elif (
            route.access == "required"
            and route.unauthenticated == "login"
            and can.isdisjoint(route.providers or settings.providers)
        ):
            yield Problem(
                ("routes", index, "unauthenticated"),
                "every provider whose people come in is bearer_only: there is no login to send anybody to",
            )
