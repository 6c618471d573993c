"""What providers publish and issue, by recipe: members and paths as theirs, names and values made up.

``iss``, ``sub``, ``aud``, times, ``nonce`` and ``at_hash`` are the stand-in's to write, unless named here.
Origins are those of the recipe; ``CLIENT`` stands for its client's id.
"""

from dataclasses import dataclass, field
from typing import Any

CLIENT = "@client"
GUID = "6f1b2c3d-0000-4000-8000-1234567890ab"
TENANT = "11111111-1111-1111-1111-111111111111"
APP = "22222222-2222-2222-2222-222222222222"
PROJECT = "123456789012345678"
ROLES = "urn:zitadel:iam:org:project:roles"
S256 = {"code_challenge_methods_supported": ["plain", "S256"]}


@dataclass(frozen=True)
class Recording:
    """One provider. ``told`` are the header fields that the upstream gets; ``stranger`` changes claims.

    ``access`` are an access token's claims, or a text where it is opaque; ``bearer`` whether one passes.
    ``guarded`` is a path that the claims are enough for, no stranger's; ``ends_at`` where a logout leads.
    """

    recipe: str
    discovery: dict[str, Any]
    claims: dict[str, Any]
    access: dict[str, Any] | str
    told: dict[str, str]
    stranger: dict[str, Any]
    bearer: bool = True
    guarded: str = "/admin/x"
    userinfo: dict[str, Any] = field(default_factory=dict)
    refreshes: bool = True
    auth: str = "basic"
    asked: dict[str, str] = field(default_factory=dict)
    ends_at: str | None = None


def _endpoints(issuer: str, base: str, **paths: str) -> dict[str, Any]:
    names = {"authorization": "authorization_endpoint", "token": "token_endpoint", "jwks": "jwks_uri"}
    named = {names.get(name, f"{name}_endpoint"): f"{base}{path}" for name, path in paths.items()}
    return {"issuer": issuer, **named, "response_types_supported": ["code", "id_token"]}


_KEYCLOAK = "https://login.example.com/realms/corporate"
_ENTRA = f"https://login.microsoftonline.com/{TENANT}"
_COGNITO = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEf123"
_DOMAIN = "https://acme.auth.eu-central-1.amazoncognito.com"
_AUTHENTIK = "https://auth.example.com/application/o"

RECORDINGS = (
    Recording(
        "keycloak",
        _endpoints(
            _KEYCLOAK,
            f"{_KEYCLOAK}/protocol/openid-connect",
            authorization="/auth",
            token="/token",
            jwks="/certs",
            userinfo="/userinfo",
            end_session="/logout",
            revocation="/revoke",
            introspection="/token/introspect",
        )
        | S256
        | {"backchannel_logout_supported": True, "backchannel_logout_session_supported": True},
        {
            "azp": CLIENT,
            "sid": GUID,
            "acr": "1",
            "typ": "ID",
            "email": "a@example.com",
            "email_verified": True,
        }
        | {"preferred_username": "alice", "given_name": "Alice"},
        {"aud": ["app-api", "account"], "typ": "Bearer", "azp": CLIENT, "sid": GUID, "acr": "1"}
        | {"scope": "openid profile email", "realm_access": {"roles": ["offline_access", "admin"]}},
        told={"X-Forwarded-Groups": "offline_access,admin", "X-Forwarded-Email": "a@example.com"},
        stranger={"realm_access": {"roles": ["offline_access"]}},
        ends_at=f"{_KEYCLOAK}/protocol/openid-connect/logout",
    ),
    Recording(
        "entra",
        _endpoints(
            f"{_ENTRA}/v2.0",
            _ENTRA,
            authorization="/oauth2/v2.0/authorize",
            token="/oauth2/v2.0/token",
            jwks="/discovery/v2.0/keys",
            end_session="/oauth2/v2.0/logout",
        )
        | {"userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo"}
        | {"token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}
        | {"tenant_region_scope": "EU", "cloud_instance_name": "microsoftonline.com"},
        {"ver": "2.0", "oid": GUID, "tid": TENANT, "aio": "AX", "rh": "0.A", "uti": "u", "roles": ["Admin"]}
        | {"at_hash": None, "preferred_username": "alice@example.com", "email": "a@example.com"},
        {"aud": APP, "ver": "2.0", "oid": GUID, "tid": TENANT, "azp": CLIENT, "azpacr": "1", "scp": "access"},
        told={"X-Forwarded-User": GUID, "X-Forwarded-Groups": "Admin"},
        stranger={"roles": ["Reader"]},
        auth="post",
        ends_at=f"{_ENTRA}/oauth2/v2.0/logout",
    ),
    Recording(
        "google",
        {
            "issuer": "https://accounts.google.com",
            "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
            "token_endpoint": "https://oauth2.googleapis.com/token",
            "userinfo_endpoint": "https://openidconnect.googleapis.com/v1/userinfo",
            "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
            "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
            "response_types_supported": ["code", "token", "id_token"],
            **S256,
        },
        {"azp": CLIENT, "hd": "example.com", "email": "a@example.com", "email_verified": True},
        "ya29.a0AfB_byC-an-opaque-one",
        told={"X-Forwarded-Email": "a@example.com"},
        stranger={"hd": None, "email": "a@gmail.com"},
        bearer=False,
        guarded="/x",
        asked={"access_type": "offline", "prompt": "consent"},
    ),
    Recording(
        "okta",
        _endpoints(
            "https://acme.okta.com/oauth2/default",
            "https://acme.okta.com/oauth2/default/v1",
            authorization="/authorize",
            token="/token",
            jwks="/keys",
            userinfo="/userinfo",
            end_session="/logout",
            revocation="/revoke",
            introspection="/introspect",
        )
        | {"code_challenge_methods_supported": ["S256"]},
        {"ver": 1, "jti": "ID.x", "amr": ["pwd"], "idp": "00o1", "groups": ["Everyone", "admins"]},
        {"aud": "api://default", "ver": 1, "jti": "AT.x", "cid": CLIENT, "uid": "00u1"}
        | {"scp": ["openid", "profile"]},
        told={"X-Forwarded-Groups": "Everyone,admins", "X-Forwarded-Preferred-Username": "alice@example.com"},
        stranger={"groups": ["Everyone"]},
        userinfo={"name": "Alice", "preferred_username": "alice@example.com", "zoneinfo": "Europe/Berlin"}
        | {"email": "a@example.com", "email_verified": True},
        ends_at="https://acme.okta.com/oauth2/default/v1/logout",
    ),
    Recording(
        "auth0",
        _endpoints(
            "https://acme.eu.auth0.com/",
            "https://acme.eu.auth0.com",
            authorization="/authorize",
            token="/oauth/token",
            jwks="/.well-known/jwks.json",
            userinfo="/userinfo",
            end_session="/oidc/logout",
            revocation="/oauth/revoke",
        )
        | S256
        | {"backchannel_logout_supported": True},
        {"sid": "s", "at_hash": None, "nickname": "alice", "email": "a@example.com", "email_verified": True}
        | {"https://app.example.com/roles": ["admins"]},
        {"aud": ["https://app.example.com/api", "https://acme.eu.auth0.com/userinfo"], "azp": CLIENT}
        | {"scope": "openid profile email offline_access"},
        told={"X-Forwarded-Groups": "admins", "X-Forwarded-Preferred-Username": "alice"},
        stranger={"https://app.example.com/roles": []},
        auth="post",
        asked={"audience": "https://app.example.com/api"},
        ends_at="https://acme.eu.auth0.com/oidc/logout",
    ),
    Recording(
        "cognito",
        _endpoints(
            _COGNITO,
            _DOMAIN,
            authorization="/oauth2/authorize",
            token="/oauth2/token",
            userinfo="/oauth2/userInfo",
            end_session="/logout",
            revocation="/oauth2/revoke",
        )
        | {"jwks_uri": f"{_COGNITO}/.well-known/jwks.json"},
        {"token_use": "id", "cognito:groups": ["admins"], "cognito:username": "alice", "origin_jti": GUID}
        | {"event_id": GUID, "jti": GUID, "email": "a@example.com", "email_verified": True},
        {"aud": None, "token_use": "access", "client_id": CLIENT, "scope": "openid", "version": 2}
        | {"cognito:groups": ["admins"], "username": "alice", "origin_jti": GUID},
        told={"X-Forwarded-Groups": "admins", "X-Forwarded-Preferred-Username": "alice"},
        stranger={"cognito:groups": ["others"]},
        bearer=False,
        ends_at=f"{_DOMAIN}/logout",
    ),
    Recording(
        "gitlab",
        _endpoints(
            "https://gitlab.com",
            "https://gitlab.com/oauth",
            authorization="/authorize",
            token="/token",
            jwks="/discovery/keys",
            userinfo="/userinfo",
            revocation="/revoke",
            introspection="/introspect",
        )
        | S256,
        {"sub_legacy": "f00", "nickname": "alice", "name": "Alice", "groups_direct": ["acme"]}
        | {"email": "a@example.com", "email_verified": True, "profile": "https://gitlab.com/alice"},
        "0123456789abcdef" * 4,
        told={"X-Forwarded-Groups": "acme,acme/admins", "X-Forwarded-Preferred-Username": "alice"},
        stranger={"groups": ["acme"]},
        bearer=False,
        userinfo={"nickname": "alice", "groups": ["acme", "acme/admins"], "email": "a@example.com"}
        | {"email_verified": True},
    ),
    Recording(
        "authentik",
        _endpoints(
            f"{_AUTHENTIK}/app/",
            _AUTHENTIK,
            authorization="/authorize/",
            token="/token/",
            jwks="/app/jwks/",
            userinfo="/userinfo/",
            end_session="/app/end-session/",
            revocation="/revoke/",
            introspection="/introspect/",
        )
        | S256,
        {"acr": "goauthentik.io/providers/oauth2/default", "amr": ["pwd"], "sid": "s", "groups": ["admins"]}
        | {"email": "a@example.com", "email_verified": False, "preferred_username": "alice", "name": "Alice"},
        {"acr": "goauthentik.io/providers/oauth2/default", "amr": ["pwd"], "azp": CLIENT, "uid": "u"}
        | {"scope": "openid profile email offline_access", "groups": ["admins"]},
        told={"X-Forwarded-Groups": "admins", "X-Forwarded-Email": ""},
        stranger={"groups": ["users"]},
        ends_at=f"{_AUTHENTIK}/app/end-session/",
    ),
    Recording(
        "zitadel",
        {
            "issuer": "https://acme-abc123.zitadel.cloud",
            "authorization_endpoint": "https://acme-abc123.zitadel.cloud/oauth/v2/authorize",
            "token_endpoint": "https://acme-abc123.zitadel.cloud/oauth/v2/token",
            "introspection_endpoint": "https://acme-abc123.zitadel.cloud/oauth/v2/introspect",
            "userinfo_endpoint": "https://acme-abc123.zitadel.cloud/oidc/v1/userinfo",
            "revocation_endpoint": "https://acme-abc123.zitadel.cloud/oauth/v2/revoke",
            "end_session_endpoint": "https://acme-abc123.zitadel.cloud/oidc/v1/end_session",
            "jwks_uri": "https://acme-abc123.zitadel.cloud/oauth/v2/keys",
            "response_types_supported": ["code", "id_token", "id_token token"],
            "code_challenge_methods_supported": ["S256"],
        },
        {"aud": [CLIENT, PROJECT], "azp": CLIENT, "client_id": CLIENT, "amr": ["pwd"], "sid": "V1_1"},
        {"aud": [CLIENT, PROJECT], "client_id": CLIENT, "jti": "V2_1", "nbf": 1},
        told={"X-Forwarded-Groups": "admin,editor", "X-Forwarded-Preferred-Username": "alice@acme"},
        stranger={ROLES: {"editor": {"1": "acme.zitadel.cloud"}}},
        userinfo={ROLES: {"admin": {"1": "acme.zitadel.cloud"}, "editor": {"1": "acme.zitadel.cloud"}}}
        | {"preferred_username": "alice@acme", "email": "a@example.com", "email_verified": True},
        ends_at="https://acme-abc123.zitadel.cloud/oidc/v1/end_session",
    ),
    Recording(
        "dex",
        _endpoints(
            "https://dex.example.com/dex",
            "https://dex.example.com/dex",
            authorization="/auth",
            token="/token",
            jwks="/keys",
            userinfo="/userinfo",
            introspection="/token/introspect",
        )
        | S256,
        {
            "groups": ["admins"],
            "email": "a@example.com",
            "email_verified": True,
            "preferred_username": "alice",
        },
        {"aud": CLIENT, "at_hash": "of-another-value", "groups": ["admins"]},
        told={"X-Forwarded-Groups": "admins", "X-Forwarded-Email": "a@example.com"},
        stranger={"groups": ["users"]},
        bearer=False,
    ),
)
