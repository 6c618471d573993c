"""Checks of API keys, and of the routes that take them."""

from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.foreign_identity import is_foreign
from gateway.config.own_names import identity_names
from gateway.config.requirements import asked, certain
from gateway.config.reserved_names import has_meaning
from gateway.config.settings.api_keys import ApiKeySettings, ApiKeysSettings
from gateway.config.settings.authorization import AuthorizationSettings
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.syntax.api_keys import is_key_id, is_owner, read_digest
from gateway.syntax.dates import read_date
from gateway.syntax.tokens import fold, is_token
from gateway.syntax.urls import is_scope

_ALIKE = (
    "upstreams cannot tell the owner of an API key from a person of that name: add X-Forwarded-Issuer: iss"
)
_DATE = "write 2027-06-30, or 2027-06-30T12:00:00Z"


def check_api_keys(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of API keys."""
    keys = settings.api_keys
    for index, route in enumerate(settings.routes):
        at: Path = ("routes", index, "api_keys")
        if route.api_keys and keys is None:
            yield Problem(at, "there is no section api_keys, so no key would ever count")
        elif route.api_keys and route.access == "public":
            yield Problem(at, "a public route looks at nobody: remove it")
    if keys is None:
        return
    yield from _check_header(settings, keys)
    seen: dict[str, str] = {}
    for key_id, key in keys.keys.items():
        at = ("api_keys", "keys", key_id)
        if not is_key_id(key_id):
            yield Problem(at, "an id has 16 characters of a-z and 2-7: gateway keys api create prints one")
        yield from _check_key(key, at)
        if key.sha256 in seen:
            yield Problem((*at, "sha256"), f"the same key as {seen[key.sha256]}")
        seen.setdefault(key.sha256, key_id)


def _check_header(settings: Settings, keys: ApiKeysSettings) -> Iterator[Problem]:
    at: Path = ("api_keys", "header")
    folded = fold(keys.header.encode(errors="replace"))
    # what a route sets under this name its upstream gets, and from nobody else
    names = (*identity_names(settings), settings.assertions.header)
    taken = {fold(name.encode(errors="replace")) for name in names}
    forwarding = settings.forwarding
    told = {
        fold(name.encode(errors="replace")) for name in (forwarding.address, *settings.client_headers.keep)
    }
    if not is_token(keys.header):
        yield Problem(at, "not the name of a header field (RFC 9110 section 5.6.2)")
    elif has_meaning(folded) or folded in taken or folded in told or is_foreign(folded):
        yield Problem(at, "this field has another meaning; choose another name, such as X-API-Key")
    logged = {name.lower() for name in settings.log.request_headers}
    if keys.header.lower() in logged:
        yield Problem(at, "log.request_headers has this field, and secrets stand in no log")


def _check_key(key: ApiKeySettings, at: Path) -> Iterator[Problem]:
    if read_digest(key.sha256) is None:
        yield Problem((*at, "sha256"), "64 hex digits in lower case; the key itself stands nowhere")
    if not is_owner(key.owner):
        yield Problem((*at, "owner"), "1 to 255 printable characters, without white space around them")
    for index, scope in enumerate(key.scopes):
        if not is_scope(scope):
            yield Problem((*at, "scopes", index), "write one scope without white space, quote or backslash")
    created = None if key.created is None else read_date(key.created)
    expires = read_date(key.expires)
    if expires is None:
        yield Problem((*at, "expires"), _DATE)
    if key.created is not None and created is None:
        yield Problem((*at, "created"), _DATE)
    if created is not None and expires is not None and created >= expires:
        yield Problem((*at, "expires"), "later than created")


def _asks_for_a_token(route: RouteSettings) -> bool:
    found = route.authorization
    return found == "access_token" or (
        isinstance(found, AuthorizationSettings) and found.exchange is not None
    )


def warn_api_keys(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed of API keys and hardly meant."""
    taking = [index for index, route in enumerate(settings.routes) if route.api_keys]
    if settings.api_keys is not None and not taking:
        yield Problem(("api_keys",), "no route says api_keys: true, so no key counts anywhere")
    for index in taking:
        if not any(each.scopes for each in certain(settings, settings.routes[index])):
            yield Problem(
                ("routes", index, "api_keys"),
                "a key gets in here whatever its scopes: name some in require.scopes",
            )
        if _asks_for_a_token(settings.routes[index]):
            yield Problem(
                ("routes", index, "authorization"),
                "an API key is no access token, and none can be had for it: none gets in here",
            )
    yield from _warn_alike(settings, taking)


def _warn_alike(settings: Settings, taking: list[int]) -> Iterator[Problem]:
    """Yield where the owner of a key is taken for the person of that name."""
    own = [index for index in taking if settings.routes[index].identity_headers is not None]
    if set(taking).difference(own) and "iss" not in settings.identity_headers.values():
        yield Problem(("identity_headers",), _ALIKE)
    for index in taking:
        route, at = settings.routes[index], ("routes", index)
        if index in own and "iss" not in (route.identity_headers or {}).values():
            yield Problem((*at, "identity_headers"), _ALIKE)
        found = route.authorization
        basic = found.basic if isinstance(found, AuthorizationSettings) else None
        if basic is not None and basic.username == "sub":
            yield Problem(
                (*at, "authorization", "basic"),
                "a user name does not tell the owner of an API key from a person of that name",
            )
        is_named = any("sub" in (each.claims or {}) for each in asked(settings, route))
        if is_named and not any("iss" in (each.claims or {}) for each in certain(settings, route)):
            yield Problem(
                (*at, "require"),
                "whoever owns an API key under that name is let in like the person: ask for iss as well",
            )
