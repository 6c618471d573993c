"""Checks of what a provider's claims become."""

from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.claims import ClaimSettings
from gateway.config.settings.providers import ProviderSettings
from gateway.syntax.claim_paths import parse_path, parse_template

RESERVED = frozenset(
    (
        *("iss", "sub", "sid", "aud", "azp", "exp", "nbf", "iat", "jti", "nonce", "at_hash", "cnf"),
        # how somebody authenticated is the provider's own word, and what a token may do its scopes' (R68)
        *("acr", "amr", "auth_time", "scope", "scp"),
    )
)
"""Claims that nothing is mapped to: each is verified or judged as the protocol has it."""

_KINDS = ("path", "first_of", "list_of", "keys_of", "value", "template")


def check_claims(provider: ProviderSettings, at: Path) -> Iterator[Problem]:
    """Yield what is wrong with the ``claims`` of a provider."""
    for name, source in provider.claims.items():
        where: Path = (*at, "claims", name)
        if name in RESERVED:
            yield Problem(where, "nothing is mapped to this claim: choose a name of your own")
        elif not name.isprintable() or any(letter.isspace() for letter in name):
            yield Problem(where, "write a claim's name without white space")
        if isinstance(source, str):
            yield from _check_path(source, where)
        else:
            yield from _check_source(source, where)


def _check_source(source: ClaimSettings, at: Path) -> Iterator[Problem]:
    given = [kind for kind in _KINDS if getattr(source, kind) is not None]
    if len(given) != 1:
        yield Problem(at, f"write one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}")
    if source.value is not None and source.default is not None:
        yield Problem((*at, "default"), "value is the same for everybody already: remove one of them")
    for setting in ("path", "keys_of"):
        if (path := getattr(source, setting)) is not None:
            yield from _check_path(path, (*at, setting))
    for setting in ("first_of", "list_of"):
        for place, path in enumerate(getattr(source, setting) or ()):
            yield from _check_path(path, (*at, setting, place))
    if source.template is not None and parse_template(source.template) is None:
        yield Problem(
            (*at, "template"),
            "write paths in braces, {given_name} {family_name}, and a brace twice",
        )


def _check_path(path: str, at: Path) -> Iterator[Problem]:
    if parse_path(path) is None:
        yield Problem(
            at, r"write a path: realm_access.roles, teams[].slug, or apps.my\.app where a name has a dot"
        )
