"""The providers that ``gateway init`` knows by name: where each is, and what its section says beside.

config/recipes/providers/ has a whole configuration for each of them, with what is to be set up there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.syntax.urls import judge_url, split_url

_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENTRA: Final = "https://login.microsoftonline.com/{}/v2.0"


@dataclass(frozen=True, slots=True)
class Known:
    """A provider by name.

    Attributes:
        label: what people call it.
        where: what is asked for beside the name; empty where there is but one.
        issuer: the only one, or the one that is meant without another word.
        must: what the issuer has to match, and how that is said.
        settings: lines of its section, as YAML.
        is_public: whether anybody on earth can have an account there.
        groups: what its groups are called there, empty where it tells none.
        note: what is to be set up there for groups.
    """

    label: str
    where: str = ""
    issuer: str = ""
    must: tuple[str, str] = ("", "")
    settings: Mapping[str, str] = field(default_factory=dict)
    is_public: bool = False
    groups: str = "groups"
    note: str = ""


KNOWN: Final[Mapping[str, Known]] = {
    "keycloak": Known(
        "Keycloak",
        "the realm's issuer: https://login.example.com/realms/corporate",
        must=(r"https?://[^/]+(?:/.+)?/realms/[^/]+", "it ends in /realms/ and the realm's name"),
        settings={"scopes": "[openid, profile, email]"},
        note="groups: give the client's dedicated scope a group membership mapper (groups, full path off)",
    ),
    "entra": Known(
        "Microsoft Entra ID",
        "the tenant's id: 11111111-1111-1111-1111-111111111111",
        must=(
            r"https://login\.microsoftonline\.com/" + _GUID.pattern + r"/v2\.0",
            "write the tenant's id, a GUID: never common or organizations, which anybody's account fits",
        ),
        settings={
            "client_auth": "client_secret_post",
            "scopes": "[openid, profile, email, offline_access]",
            "algorithms": "[RS256]",
            "claims": "{groups: roles}",
        },
        groups="app roles",
        note="roles: define app roles for the application there, and assign people or groups to them",
    ),
    "google": Known(
        "Google",
        issuer="https://accounts.google.com",
        settings={
            "scopes": "[openid, profile, email]",
            "algorithms": "[RS256]",
            "extra_authorization_parameters": "{access_type: offline, prompt: consent}",
        },
        is_public=True,
        groups="",
    ),
    "okta": Known(
        "Okta",
        "the authorization server: https://example.okta.com/oauth2/default",
        settings={
            "scopes": "[openid, profile, email, offline_access]",
            "algorithms": "[RS256]",
            "userinfo": "true",
        },
        note="groups: add a claim groups to the authorization server, in ID tokens, always",
    ),
    "auth0": Known(
        "Auth0",
        "the tenant: https://example.eu.auth0.com/",
        must=(r"https://[^/]+/", "it ends in a slash, as Auth0 writes it"),
        settings={
            "client_auth": "client_secret_post",
            "scopes": "[openid, profile, email, offline_access]",
            "algorithms": "[RS256]",
        },
        note="groups: tell them by an action, and name its claim (config/recipes/providers/auth0.yaml)",
    ),
    "gitlab": Known(
        "GitLab",
        "the instance",
        issuer="https://gitlab.com",
        settings={
            "scopes": "[openid, profile, email]",
            "algorithms": "[RS256]",
            "userinfo": "true",
            "claims": "{groups: {first_of: [groups, groups_direct]}}",
        },
        is_public=True,
        note="groups are called by their full path: acme, or acme/platform",
    ),
    "github": Known(
        "GitHub",
        issuer="https://github.com",
        settings={
            "kind": "oauth2",
            "preset": "github",
            "client_auth": "client_secret_post",
            "scopes": "[read:user, user:email, read:org]",
            "callback": "/.gateway/callback/github",
        },
        is_public=True,
        groups="organisations and teams",
        note="groups are organisations, or teams as organisation/team",
    ),
    "authentik": Known(
        "authentik",
        "the application's issuer: https://auth.example.com/application/o/app/",
        must=(r"https?://.+/application/o/[^/]+/", "it ends in /application/o/, the slug, and a slash"),
        settings={"scopes": "[openid, profile, email, offline_access]", "algorithms": "[RS256]"},
    ),
    "dex": Known(
        "Dex",
        "its issuer: https://dex.example.com/dex",
        settings={
            "scopes": "[openid, profile, email, groups, offline_access]",
            "algorithms": "[RS256]",
        },
    ),
}
"""By the name that is asked for."""
GENERIC: Final = Known(
    "the provider",
    "its issuer: https://login.example.com",
    settings={"scopes": "[openid, profile, email]"},
    note="groups: the provider has to tell them in a claim of that name (groups_claim names another)",
)
"""Any other, by the URL of its issuer."""


def issuer_of(name: str, where: str) -> str:
    """Return the issuer of what was answered: of Entra ID the tenant's id is enough, Auth0 wants a slash."""
    where = where.strip()
    if name == "entra" and _GUID.fullmatch(where.lower()):
        return _ENTRA.format(where.lower())
    if name == "auth0" and where and not where.endswith("/"):
        return f"{where}/"
    return where or KNOWN.get(name, GENERIC).issuer


def judge_issuer(name: str, issuer: str) -> str | None:
    """Return what is wrong with the issuer of a provider of this name, None where nothing is."""
    known = KNOWN.get(name, GENERIC)
    wrong = judge_url(issuer, insecure=False, query=False)
    if wrong is not None:
        return wrong
    pattern, words = known.must
    if pattern and re.fullmatch(pattern, issuer) is None:
        return words
    parts = split_url(issuer)
    if parts is not None and parts.path.endswith("/.well-known/openid-configuration"):
        return "write the issuer: without /.well-known/openid-configuration"
    return None
