"""Which people come in: by their addresses, groups, roles, tenants. All of it holds on every route."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.cli.oauth2_proxy.draft import Draft
from gateway.cli.oauth2_proxy.options import Options

Rule = dict[str, Any]

_MOST_ADDRESSES: Final = 10_000
_ROLES: Final = "realm_access.roles"


def put_people(options: Options, draft: Draft, read: Callable[[Path], str]) -> None:
    """Put in what is asked of everybody.

    Args:
        options: as it was.
        draft: what is put together.
        read: returns a file's text; raises OSError, UnicodeDecodeError.
    """
    rules = [
        rule
        for rule in (_addresses(options, draft, read), _members(options, draft), _tenants(options))
        if rule
    ]
    if options.text("oidc_groups_claim") != "groups":
        draft.sections["groups_claim"] = options.text("oidc_groups_claim")
    if rules:
        draft.sections["require"] = rules[0] if len(rules) == 1 else {"all": rules}


def _addresses(options: Options, draft: Draft, read: Callable[[Path], str]) -> Rule | None:
    domains = [each.lower() for each in options.items("email_domains")]
    listed = _listed(options, draft, read)
    if "*" in domains:
        return _anybody(options, draft)
    ways: list[Rule] = []
    if plain := [each for each in domains if not each.startswith((".", "*."))]:
        ways.append({"email_domains": plain})
    for domain in domains:
        if domain.startswith((".", "*.")):
            below = re.escape(domain.removeprefix("*")).replace("\\-", "-")
            ways.append({"claims": {"email": {"matches": f"(?i)[^@]+@[^@]+{below}"}}})
    if listed:
        ways.append({"claims": {"email": {"any_of": listed}}})
    if not ways:
        draft.error("email_domains", "nobody would come in: name domains, addresses in a file, or *")
        return None
    return ways[0] if len(ways) == 1 else {"any": ways}


def _anybody(options: Options, draft: Draft) -> Rule:
    """Return that somebody has an address at all: who has none comes in nowhere there."""
    if not options.flag("insecure_oidc_allow_unverified_email"):
        return {"claims": {"email": {"matches": ".+"}}}
    # under another name, since an address counts only where somebody vouches for it
    for provider in draft.sections.get("providers", {}).values():
        if not provider.get("bearer_only") and provider.get("kind") != "oauth2":
            claims = provider.setdefault("claims", {})
            claims["address"] = claims.get("email", "email")
    return {"claims": {"address": {"matches": ".+"}}}


def _listed(options: Options, draft: Draft, read: Callable[[Path], str]) -> list[str]:
    """Return the addresses of a file, a line each, as CSV has them: the first field counts."""
    path = options.text("authenticated_emails_file")
    if not path:
        return []
    try:
        lines = read(Path(path)).splitlines()
    except (OSError, UnicodeDecodeError):
        draft.error(
            "authenticated_emails_file", "it cannot be read from here: its addresses go into the file"
        )
        return []
    found = [line.strip().split(",")[0].strip().strip('"').lower() for line in lines]
    found = list(dict.fromkeys(each for each in found if each and not each.startswith("#")))
    if len(found) > _MOST_ADDRESSES:
        draft.error(
            "authenticated_emails_file", f"more than {_MOST_ADDRESSES} addresses: require a group or a domain"
        )
        return []
    draft.note(
        "authenticated_emails_file", "its addresses stand in the file now, in lower case, and are not watched"
    )
    return found


def _members(options: Options, draft: Draft) -> Rule | None:
    """Return that somebody is in one of the groups, or has one of the roles, where any are named."""
    kind = options.text("provider")
    groups = list(options.items("allowed_groups"))
    ways: list[Rule] = []
    if kind in ("keycloak", "keycloak-oidc"):
        groups += options.items("keycloak_groups")
    if kind == "gitlab":
        groups += options.items("gitlab_groups")
    if kind == "github":
        groups = [each.replace(":", "/", 1) for each in groups]
        ways += _of_github(options)
    if groups:
        ways.append({"groups": list(dict.fromkeys(groups))})
    if kind == "keycloak-oidc" and options.items("allowed_roles"):
        ways += _roles(options, draft)
    if not ways:
        return None
    return ways[0] if len(ways) == 1 else {"any": ways}


def _of_github(options: Options) -> list[Rule]:
    org = options.text("github_org")
    teams = [each.strip() for each in options.text("github_team").split(",") if each.strip()]
    if org:
        groups = [f"{org}/{team}" for team in teams] or [org]
    else:
        groups = [team.replace(":", "/", 1) for team in teams]
    ways: list[Rule] = [{"groups": groups}] if groups else []
    if users := options.items("github_users"):
        ways.append({"claims": {"login": users}})
    return ways


def _roles(options: Options, draft: Draft) -> list[Rule]:
    ways: list[Rule] = []
    realm = [each for each in options.items("allowed_roles") if ":" not in each]
    if realm:
        draft.sections["roles_claim"] = _ROLES
        ways.append({"roles": realm})
    for role in options.items("allowed_roles"):
        client, colon, name = role.partition(":")
        if colon:
            ways.append({"claims": {f"resource_access.{client}.roles": [name]}})
            if "." in client:
                draft.error(
                    "allowed_roles",
                    "a client whose name has a dot cannot be found in a claim: map it by hand",
                )
    return ways


def _tenants(options: Options) -> Rule | None:
    tenants = options.items("entra_id_allowed_tenants")
    return {"claims": {"tid": tenants}} if tenants else None
