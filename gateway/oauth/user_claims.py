"""What the user APIs of GitHub, GitLab, Discord and others tell, as claims."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.config.settings.providers import ProviderSettings
from gateway.core.tokens.claims import MOST_SUBJECT
from gateway.oauth.errors import MessageError
from gateway.syntax.claim_paths import parse_path
from gateway.syntax.encoding import Json

# what an answer of a stranger's API says of the protocol is nobody's word
_NOT_TOLD = frozenset(
    ("iss", "aud", "sub", "sid", "acr", "amr", "auth_time", "nonce", "exp", "iat", "nbf", "jti")
)


@dataclass(frozen=True, slots=True)
class Part:
    """A list that is asked for: its path, in place of what the user's own ends in (``beside``)."""

    path: str
    beside: str = ""
    is_paged: bool = True


PARTS: Mapping[str, Part] = {
    "emails": Part("/emails"),
    "organizations": Part("/orgs"),
    "teams": Part("/teams"),
    "groups": Part("/groups?min_access_level=10", beside="/user"),
    "guilds": Part("/guilds?limit=200", is_paged=False),
}

_SCOPES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "github": {
        "emails": frozenset(("user", "user:email")),
        "organizations": frozenset(("read:org", "write:org", "admin:org")),
        "teams": frozenset(("read:org", "write:org", "admin:org")),
    },
    "gitlab": {"groups": frozenset(("api", "read_api"))},
    "discord": {"guilds": frozenset(("guilds",))},
}


def parts_of(settings: ProviderSettings) -> tuple[str, ...]:
    """Return the names of the lists that the configured scopes are good for."""
    wanted = frozenset(settings.scopes)
    return tuple(name for name, scopes in _SCOPES.get(settings.preset or "", {}).items() if scopes & wanted)


def claims_of_user(
    settings: ProviderSettings, user: Mapping[str, Json], parts: Mapping[str, list[Json]]
) -> dict[str, Json]:
    """Return the claims of a user with ``sub``; ``oauth.user_api.claims_of``. Raises MessageError."""
    told = {name: value for name, value in user.items() if name not in _NOT_TOLD}
    match settings.preset:
        case "github":
            told |= _github(user, parts)
        case "gitlab":
            told |= _gitlab(user, parts)
        case "discord":
            told |= _discord(user, parts)
        case _:
            pass
    subject = _subject(settings, user)
    if subject is None:
        where = settings.subject or "id"
        raise MessageError("user_malformed", f"the user API's answer has no id at {where}")
    return {**{name: value for name, value in told.items() if value is not None}, "sub": subject}


def _subject(settings: ProviderSettings, user: Mapping[str, Json]) -> str | None:
    value: Json = dict(user)
    for name, is_each in parse_path(settings.subject or "id") or ():
        value = value.get(name) if isinstance(value, dict) and not is_each else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value > 0 else None
    if not isinstance(value, str) or not 0 < len(value) <= MOST_SUBJECT or not value.isprintable():
        return None
    if settings.preset is not None:
        # Discord writes its numbers as texts
        return value if settings.preset == "discord" and value.isascii() and value.isdecimal() else None
    return value


def _github(user: Mapping[str, Json], parts: Mapping[str, list[Json]]) -> dict[str, Json]:
    # the address of the profile is what its owner shows, and nothing says whether it is verified
    email, verified = user.get("email"), False
    if "emails" in parts:
        primary = next((each for each in _objects(parts["emails"]) if each.get("primary") is True), {})
        email, verified = primary.get("email"), primary.get("verified") is True
    groups: list[tuple[Json, Json]] = [
        (each.get("login"), each.get("id")) for each in _objects(parts.get("organizations", ()))
    ]
    for each in _objects(parts.get("teams", ())):
        owner = each.get("organization")
        if isinstance(owner, dict):
            groups.append(
                (_pair(owner.get("login"), each.get("slug")), _pair(owner.get("id"), each.get("id")))
            )
    return {
        "preferred_username": user.get("login"),
        "name": user.get("name"),
        "picture": user.get("avatar_url"),
        "profile": user.get("html_url"),
        **_email(email, verified=verified),
        **_grouped(groups, is_told=not parts.keys().isdisjoint(("organizations", "teams"))),
    }


def _gitlab(user: Mapping[str, Json], parts: Mapping[str, list[Json]]) -> dict[str, Json]:
    confirmed = user.get("confirmed_at")
    groups = [(each.get("full_path"), each.get("id")) for each in _objects(parts.get("groups", ()))]
    return {
        "preferred_username": user.get("username"),
        "picture": user.get("avatar_url"),
        "profile": user.get("web_url"),
        **_email(user.get("email"), verified=isinstance(confirmed, str) and bool(confirmed)),
        **_grouped(groups, is_told="groups" in parts),
    }


def _discord(user: Mapping[str, Json], parts: Mapping[str, list[Json]]) -> dict[str, Json]:
    # anybody may call a guild whatever they like: its id alone says which one it is
    groups = [(each.get("id"), each.get("id")) for each in _objects(parts.get("guilds", ()))]
    return {
        "preferred_username": user.get("username"),
        "name": user.get("global_name"),
        **_email(user.get("email"), verified=user.get("verified") is True),
        **_grouped(groups, is_told="guilds" in parts),
    }


def _email(address: Json, *, verified: bool) -> dict[str, Json]:
    is_told = isinstance(address, str) and bool(address)
    return {"email": address if is_told else None, "email_verified": verified if is_told else None}


def _grouped(groups: Iterable[tuple[Json, Json]], *, is_told: bool) -> dict[str, Json]:
    """Return the groups by name and by id; without either where they were not asked for."""
    if not is_told:
        # a member of the answer that happens to be called so is none of the groups that were meant
        return {"groups": None, "group_ids": None}
    pairs = [(_text(name), _text(number)) for name, number in groups]
    return {
        "groups": list(dict.fromkeys(name for name, _ in pairs if name)),
        "group_ids": list(dict.fromkeys(number for _, number in pairs if number)),
    }


def _objects(items: Iterable[Json]) -> Iterable[dict[str, Json]]:
    return (each for each in items if isinstance(each, dict))


def _pair(one: Json, other: Json) -> str:
    left, right = _text(one), _text(other)
    return f"{left}/{right}" if left and right and "/" not in left + right else ""


def _text(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
