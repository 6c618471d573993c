"""Who the demo's accounts are at GitHub, GitLab and Discord, in the shapes of their real APIs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Person:
    """An account there. ``number`` never changes; the rest may.

    ``organizations`` are (name, number), ``teams`` (organization, its number, slug, number).
    """

    number: int
    login: str
    name: str | None
    email: str
    verified: bool = True
    organizations: tuple[tuple[str, int], ...] = ()
    teams: tuple[tuple[str, int, str, int], ...] = ()


def known_people() -> dict[str, Person]:
    """Return who the demo's accounts are, by user name."""
    return {
        "alice": Person(
            1001,
            "alice",
            "Alice Example",
            "alice@example.com",
            organizations=(("acme", 501), ("open-source", 502)),
            teams=(("acme", 501, "admins", 9001), ("acme", 501, "night-shift", 9002)),
        ),
        "bob": Person(1002, "bob", None, "bob@example.com", organizations=(("acme", 501),)),
    }


def github_user(person: Person) -> dict[str, Any]:
    """Return the answer of ``GET /user``."""
    return {
        "login": person.login,
        "id": person.number,
        "node_id": "MDQ6VXNlcjE=",
        "avatar_url": f"https://avatars.example.com/u/{person.number}?v=4",
        "gravatar_id": "",
        "url": f"https://api.example.com/users/{person.login}",
        "html_url": f"https://github.example.com/{person.login}",
        "type": "User",
        "user_view_type": "private",
        "site_admin": False,
        "name": person.name,
        "company": None,
        "blog": "",
        "location": None,
        # what a profile shows, which is nobody's proof of anything
        "email": f"shown-{person.email}",
        "hireable": None,
        "two_factor_authentication": True,
        "plan": {"name": "free", "space": 976562499, "collaborators": 0, "private_repos": 10000},
    }


def github_emails(person: Person) -> list[dict[str, Any]]:
    """Return the answer of ``GET /user/emails``."""
    noreply = f"{person.number}+{person.login}@users.noreply.example.com"
    return [
        {"email": noreply, "primary": False, "verified": True, "visibility": None},
        {"email": person.email, "primary": True, "verified": person.verified, "visibility": "private"},
    ]


def github_organizations(person: Person) -> list[dict[str, Any]]:
    """Return the answer of ``GET /user/orgs``."""
    return [_organization(login, number) for login, number in person.organizations]


def github_teams(person: Person) -> list[dict[str, Any]]:
    """Return the answer of ``GET /user/teams``."""
    return [
        {
            "id": number,
            "node_id": "MDQ6VGVhbTE=",
            "name": slug.replace("-", " ").title(),
            "slug": slug,
            "description": None,
            "privacy": "closed",
            "permission": "pull",
            "parent": None,
            "members_count": 3,
            "organization": _organization(login, owner),
        }
        for login, owner, slug, number in person.teams
    ]


def _organization(login: str, number: int) -> dict[str, Any]:
    return {
        "login": login,
        "id": number,
        "node_id": "MDEyOk9yZ2FuaXphdGlvbjE=",
        "url": f"https://api.example.com/orgs/{login}",
        "avatar_url": f"https://avatars.example.com/u/{number}?v=4",
        "description": None,
    }


def gitlab_user(person: Person) -> dict[str, Any]:
    """Return the answer of ``GET /api/v4/user``."""
    return {
        "id": person.number,
        "username": person.login,
        "public_email": None,
        "name": person.name or person.login,
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"https://gitlab.example.com/{person.login}",
        "created_at": "2020-01-02T03:04:05.678Z",
        "confirmed_at": "2020-01-02T03:05:06.789Z" if person.verified else None,
        "last_sign_in_at": "2026-01-01T00:00:00.000Z",
        "email": person.email,
        "commit_email": person.email,
        "two_factor_enabled": True,
        "external": False,
        "private_profile": False,
        "identities": [],
    }


def gitlab_groups(person: Person) -> list[dict[str, Any]]:
    """Return the answer of ``GET /api/v4/groups``; a team is a group within a group."""
    groups = [(login, login, number) for login, number in person.organizations]
    groups += [(slug, f"{login}/{slug}", number) for login, _, slug, number in person.teams]
    return [
        {
            "id": number,
            "name": path.title(),
            "path": path,
            "full_path": full,
            "visibility": "private",
            "parent_id": None,
        }
        for path, full, number in groups
    ]


def discord_user(person: Person) -> dict[str, Any]:
    """Return the answer of ``GET /users/@me``."""
    return {
        "id": str(80351110224678000 + person.number),
        "username": person.login,
        "discriminator": "0",
        "global_name": person.name,
        "avatar": None,
        "verified": person.verified,
        "email": person.email,
        "flags": 64,
        "public_flags": 64,
        "premium_type": 0,
        "mfa_enabled": True,
        "locale": "en-US",
    }


def discord_guilds(person: Person) -> list[dict[str, Any]]:
    """Return the answer of ``GET /users/@me/guilds``."""
    return [
        {
            "id": str(197038439483310000 + number),
            "name": login,
            "icon": None,
            "owner": False,
            "permissions": "36953089",
            "features": ["COMMUNITY"],
        }
        for login, number in person.organizations
    ]


def generic_user(person: Person) -> dict[str, Any]:
    """Return what some API of somebody's own answers."""
    user = {
        "uid": person.number,
        "nick": person.login,
        "email": person.email,
        "email_verified": person.verified,
    }
    # what it has no business to say
    return {"user": user, "roles": [each for each, _ in person.organizations], "sub": "admin", "acr": "mfa"}


SHAPES: Mapping[str, Mapping[str, Any]] = {
    "github": {
        "/api/v3/user": github_user,
        "/api/v3/user/emails": github_emails,
        "/api/v3/user/orgs": github_organizations,
        "/api/v3/user/teams": github_teams,
    },
    "gitlab": {"/api/v4/user": gitlab_user, "/api/v4/groups": gitlab_groups},
    "discord": {"/api/v10/users/@me": discord_user, "/api/v10/users/@me/guilds": discord_guilds},
    "generic": {"/me": generic_user},
}
"""By service and path what answers there."""
