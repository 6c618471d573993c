"""The shapes of real providers' tokens: header and claims as they write them, with our names in them.

Values are made up, members are not: each is what the provider's current version sends by default, or in the
setting that the name tells. ``HASH`` and ``NONCE`` stand for what belongs to the login.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.jose import API, CLIENT, ISSUER, NOW

NONCE = "the-nonce"
HASH = "@at_hash"
BORN = int(NOW) - 10
GUID = "6f1b2c3d-0000-4000-8000-1234567890ab"


@dataclass(frozen=True)
class Shape:
    """One token. ``kind`` is what its provider means it to be; ``bearer`` whether it passes as one.

    ``own`` tells whether it passes as the access token of a session, which nobody needs to tell from another
    kind of token; ``audiences`` are the configured ones.
    """

    name: str
    kind: Literal["id", "access", "refresh", "logout"]
    claims: dict[str, Any]
    header: dict[str, Any] = field(default_factory=dict)
    bearer: bool = False
    own: bool = False
    audiences: tuple[str, ...] = (API, CLIENT)


def _claims(audience: Any = CLIENT, **more: Any) -> dict[str, Any]:
    claims = {"iss": ISSUER, "sub": "alice", "aud": audience, "iat": BORN, "exp": BORN + 3600, **more}
    return {name: value for name, value in claims.items() if value is not ...}


def _id(name: str, header: dict[str, Any] | None = None, **claims: Any) -> tuple[Shape, Shape]:
    """Return an ID token as a login brings it, and as a refresh does: without its nonce."""
    first = _claims(**{"nonce": NONCE, **claims})
    later = {key: value for key, value in first.items() if key != "nonce"}
    return Shape(name, "id", first, header or {}), Shape(f"{name} at refresh", "id", later, header or {})


def _access(
    name: str,
    audience: Any = API,
    header: dict[str, Any] | None = None,
    *,
    bearer: bool = True,
    own: bool = True,
    **claims: Any,
) -> Shape:
    return Shape(name, "access", _claims(audience, **claims), header or {}, bearer, own)


JWT = {"typ": "JWT"}
AT_JWT = {"typ": "at+jwt"}
REALM = {"realm_access": {"roles": ["offline_access", "user"]}, "scope": "openid profile email"}

SHAPES: tuple[Shape, ...] = (
    *_id("Keycloak", JWT, jti=GUID, typ="ID", azp=CLIENT, sid=GUID, at_hash=HASH, acr="1", auth_time=BORN),
    _access("Keycloak", ["account", API], JWT, typ="Bearer", azp=CLIENT, sid=GUID, acr="1", **REALM),
    # until version 24, and with the mapper nonce-backwards-compatible
    _access("Keycloak with nonce", API, JWT, typ="Bearer", azp=CLIENT, nonce=NONCE, sid=GUID, **REALM),
    _access("Keycloak for the client", CLIENT, JWT, typ="Bearer", azp=CLIENT, nonce=NONCE, **REALM),
    Shape("Keycloak refresh", "refresh", _claims(API, typ="Refresh", azp=CLIENT, scope="openid"), JWT),
    Shape("Keycloak offline", "refresh", _claims(API, typ="Offline", azp=CLIENT, scope="openid"), JWT),
    *_id("Entra ID v2", JWT, nbf=BORN, aio="AX", oid=GUID, rh="0.A", tid=GUID, uti="u", ver="2.0"),
    _access(
        "Entra ID v2", API, JWT, nbf=BORN, aio="AX", azp=CLIENT, azpacr="1", oid=GUID, scp="read", ver="2.0"
    ),
    _access(
        "Entra ID v1", API, {**JWT, "x5t": "t"}, nbf=BORN, appid=CLIENT, appidacr="1", scp="read", ver="1.0"
    ),
    # of an API whose application is the client itself
    _access("Entra ID for the client", CLIENT, JWT, nbf=BORN, azp=CLIENT, scp="access", ver="2.0"),
    *_id("Okta", ver=1, jti="ID.x", amr=["pwd"], idp="00o", auth_time=BORN, at_hash=HASH),
    _access("Okta custom server", API, ver=1, jti="AT.x", cid=CLIENT, uid="00u", scp=["openid", "read"]),
    _access(
        "Okta org server",
        API,
        {"typ": "application/okta-internal-at+jwt"},
        ver=1,
        cid=CLIENT,
        uid="00u",
        scp=["openid"],
    ),
    *_id("Auth0", JWT, sid="s", at_hash=...),
    _access("Auth0", [API, f"{ISSUER}/userinfo"], JWT, azp=CLIENT, scope="openid offline_access"),
    _access("Auth0 RFC 9068", [API], AT_JWT, client_id=CLIENT, jti="j", scope="openid"),
    *_id("Google", JWT, azp=CLIENT, at_hash=HASH, email="a@example.com", email_verified=True),
    *_id("Cognito", token_use="id", at_hash=HASH, origin_jti=GUID, event_id=GUID, auth_time=BORN, jti=GUID),
    _access(
        "Cognito with a resource",
        API,
        token_use="access",
        client_id=CLIENT,
        scope="openid",
        origin_jti=GUID,
        version=2,
    ),
    # without resource binding it has no aud, and R24 asks for one
    _access("Cognito", ..., bearer=False, own=False, token_use="access", client_id=CLIENT, scope="openid"),
    *_id("ADFS", JWT, auth_time=BORN, upn="a@corp", unique_name="CORP\\a", sid="S-1-5-21", apptype="Public"),
    _access(
        "ADFS", API, JWT, apptype="Confidential", appid=CLIENT, authmethod="urn:x", scp="openid", ver="1.0"
    ),
    *_id("GitLab", JWT, auth_time=BORN, sub_legacy="f00", nickname="alice", groups_direct=["g"]),
    *_id("Zitadel", aud=[CLIENT, "project"], azp=CLIENT, client_id=CLIENT, at_hash=HASH, amr=["pwd"]),
    _access("Zitadel", [CLIENT, API], JWT, nbf=BORN, client_id=CLIENT, jti="j"),
    *_id(
        "Dex",
        at_hash=HASH,
        email="a@example.com",
        email_verified=True,
        groups=["g"],
        preferred_username="alice",
    ),
    # made as its ID tokens are: only where it came from tells them apart
    _access("Dex", CLIENT, bearer=False, at_hash="of-another-value", nonce=NONCE, groups=["g"]),
    _access("Dex at refresh", CLIENT, bearer=False, at_hash="of-another-value", groups=["g"]),
    *_id("PingFederate", JWT, jti="j", auth_time=BORN, pi_sri="s", acr="urn:x", at_hash=HASH),
    _access("PingFederate", API, {"pi.atm": "1"}, scope=["openid"], client_id=CLIENT, iat=BORN),
    *_id("PingOne", acr="Single", amr=["pwd"], auth_time=BORN, env=GUID, org=GUID, sid=GUID, at_hash=HASH),
    _access("PingOne", [API], AT_JWT, client_id=CLIENT, env=GUID, org=GUID, scope="read", sid=GUID),
    Shape(
        "logout token",
        "logout",
        _claims(jti="j", sid="s", events={"http://schemas.openid.net/event/backchannel-logout": {}}),
        {"typ": "logout+jwt"},
    ),
    Shape(
        "logout token without a type",
        "logout",
        _claims(jti="j", sid="s", events={"http://schemas.openid.net/event/backchannel-logout": {}}),
        JWT,
    ),
)
