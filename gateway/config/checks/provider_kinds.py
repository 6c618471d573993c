"""Checks of what a provider is for, and which settings such a one has no use for."""

from collections.abc import Iterator

from gateway.config.callbacks import login_providers
from gateway.config.checks.introspection import check_introspection
from gateway.config.checks.problems import Path, Problem
from gateway.config.presets import endpoints_of
from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.root import Settings
from gateway.syntax.claim_paths import parse_path

_OF_LOGINS = (
    *("callback", "end_session_endpoint", "frontchannel_logout", "response_mode"),
    *("extra_authorization_parameters", "userinfo", "label", "groups_overage"),
)


_OF_OIDC = (
    *("audiences", "clients_without_aud", "id_token_audiences", "algorithms", "access_token"),
    *("access_token_type", "userinfo", "response_mode", "discovery_url", "jwks_uri", "end_session_endpoint"),
    *(
        "frontchannel_logout",
        "bearer_only",
        "groups_overage",
        "graph_url",
        "token_userinfo",
        "jwks_max_age",
        "jwks_max_stale",
        "jwks_cooldown",
        "introspection",
        "introspection_endpoint",
    ),
)
_MOST_LABEL = 64
_LONGEST_TOLD = 3600.0
_OF_OAUTH2 = ("preset", "subject", "user_max_age")


def check_kind(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    """Yield what a provider has no use for, or cannot do without."""
    if provider.kind == "oauth2":
        yield from _check_oauth2(provider, at)
        return
    for setting in _OF_OAUTH2:
        if setting in provider.model_fields_set:
            yield Problem((*at, setting), "this is for kind: oauth2 alone")
    if not provider.audiences and not provider.clients_without_aud:
        yield Problem((*at, "audiences"), "required: empty would refuse every bearer token")
    yield from check_introspection(provider, at)
    if provider.token_userinfo is not None and provider.token_userinfo > _LONGEST_TOLD:
        yield Problem((*at, "token_userinfo"), "at most 1h: groups that somebody has left count for so long")
    if provider.bearer_only:
        for setting in _OF_LOGINS:
            if setting in provider.model_fields_set:
                yield Problem((*at, setting), "nobody logs in at a provider that is bearer_only: remove it")


def _check_oauth2(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    for setting in _OF_OIDC:
        if setting in provider.model_fields_set:
            yield Problem((*at, setting), "a provider of kind: oauth2 has no ID tokens, no keys: remove it")
    if provider.callback is None:
        # RFC 9700 section 4.4: nothing else in its answers says whose they are
        yield Problem(
            (*at, "callback"),
            "required: no answer of kind: oauth2 says whose it is, so the path that is registered there does;"
            " such as /.gateway/callback/github",
        )
    known = endpoints_of(provider)
    for setting in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint"):
        if setting not in known:
            yield Problem((*at, setting), "required: no preset names it")
    if provider.preset is None and provider.subject is None:
        yield Problem(
            (*at, "subject"),
            "required: where in the user API's answer the account's id is; never a name or an address, which"
            " may be somebody else's tomorrow",
        )
    if provider.preset is not None and provider.subject is not None:
        yield Problem((*at, "subject"), "the preset knows it: remove it")
    if provider.subject is not None and (parse_path(provider.subject) is None or "[]" in provider.subject):
        yield Problem((*at, "subject"), "write a path to one value, such as id or user.id")


def check_choice(settings: Settings) -> Iterator[Problem]:
    """Yield what would leave a person at a loss who has to choose a provider."""
    names = login_providers(settings)
    if settings.choose_provider and len(names) < 2:
        yield Problem(("choose_provider",), "people log in at one provider alone: there is nothing to choose")
    labels: dict[str, str] = {}
    for name in names:
        label = settings.providers[name].label or name
        if not label.isprintable() or len(label) > _MOST_LABEL:
            yield Problem(("providers", name, "label"), f"at most {_MOST_LABEL} printable characters")
        elif settings.choose_provider and label in labels:
            yield Problem(("providers", name, "label"), f"provider {labels[label]} is called so already")
        labels.setdefault(label, name)


def warn_kinds(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed of a provider and a risk all the same."""
    for name, provider in settings.providers.items():
        if provider.preset == "github" and provider.client_auth == "client_secret_basic":
            yield Problem(
                ("providers", name, "client_auth"), "GitHub's documentation knows client_secret_post alone"
            )
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
