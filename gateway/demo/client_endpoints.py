"""The demo provider's endpoints for the client itself: token, revocation, introspection."""

from typing import Any, TypeAlias

from aiohttp import web

from gateway.demo.authentication import authenticate, authenticate_own
from gateway.demo.clients import certificate_of
from gateway.demo.faults import break_off
from gateway.demo.grants import EXCHANGE, GRANTS, Family, Fields, OAuthError
from gateway.demo.introspection import introspection_answer
from gateway.demo.messages import error_json, json_answer, parameters
from gateway.demo.registered import is_same_client
from gateway.demo.state import ProviderState

Shown: TypeAlias = tuple[bytes | None, str]
"""With what a client has shown that a token is to be bound: a certificate, and a key's thumbprint."""

_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"


class ClientEndpoints:
    """Every call authenticates the client first, but for the one that makes it known."""

    def __init__(self, provider: ProviderState) -> None:
        self._provider = provider

    async def token(self, request: web.Request) -> web.StreamResponse:
        """The token endpoint (RFC 6749 section 3.2)."""
        provider = self._provider
        fields = await parameters(request, form_only=True)
        grant = fields.get("grant_type", "")
        provider.counts[f"token:{grant if grant in GRANTS else 'other'}"] += 1
        if (spoiled := await provider.spoiled(request, "token", f"token:{grant}")) is not None:
            return spoiled
        caller = await authenticate(provider, request, fields)
        shown = certificate_of(request), provider.proofs.key_of(request, f"{provider.base}/token")
        if caller != provider.client_id and grant not in ("authorization_code", "refresh_token"):
            raise OAuthError("unauthorized_client", "this is not for clients that register themselves")
        match grant:
            case "authorization_code":
                answer = self._redeem(fields, shown, caller)
            case "refresh_token":
                try:
                    answer = self._refresh(fields, shown, caller)
                except OAuthError as error:
                    return self._refused_refresh(error)
            case "client_credentials":
                answer = self._client_credentials(fields)
            case _ if grant == EXCHANGE:
                answer = self._exchange(fields)
            case _:
                raise OAuthError("unsupported_grant_type", f"one of {', '.join(GRANTS)}")
        if "token-lost-after-commit" in provider.quirks:
            return await break_off(request)
        alter = provider.alter.get(grant)
        return json_answer(answer if alter is None else alter(answer))

    async def register(self, request: web.Request) -> web.StreamResponse:
        """The registration endpoint (RFC 7591), open to everybody on this machine."""
        provider = self._provider
        provider.counts["register"] += 1
        return await provider.registered.register(request)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """The revocation endpoint (RFC 7009): a refresh token ends its login, an access token itself."""
        provider = self._provider
        provider.counts["revocation"] += 1
        fields = await parameters(request, form_only=True)
        caller = await authenticate(provider, request, fields)
        if "token" not in fields:
            raise OAuthError("invalid_request", "token is missing")
        family = provider.grants.family_of(fields["token"])
        if family is not None:
            if self._is_of(family, caller):
                family.alive = False
        elif (claims := provider.read_access_token(fields["token"])) is not None and (
            claims["client_id"] == caller
        ):
            provider.grants.revoked_jti[str(claims.get("jti"))] = True
        # section 2.2: an unknown token is no error
        return json_answer({})

    async def introspect(self, request: web.Request) -> web.StreamResponse:
        """The introspection endpoint (RFC 7662), signed where that is asked for (RFC 9701)."""
        provider = self._provider
        provider.counts["introspection"] += 1
        if (spoiled := await provider.spoiled(request, "introspection")) is not None:
            return spoiled
        fields = await parameters(request, form_only=True)
        await authenticate_own(provider, request, fields)
        if not fields.get("token"):
            raise OAuthError("invalid_request", "token is missing")
        found = self._introspected(fields["token"])
        alter = provider.alter.get("introspection")
        return introspection_answer(request, provider, found if alter is None else alter(found))

    def _introspected(self, token: str) -> dict[str, Any]:
        provider = self._provider
        family = provider.grants.family_of(token)
        if family is not None and family.alive and family.current == token:
            scope = " ".join(family.scopes)
            found = {
                "sub": family.user,
                "scope": scope,
                "client_id": provider.client_id,
                "iss": provider.issuer,
            }
            return {"active": True, "token_type": "refresh_token", **found}
        claims = provider.read_access_token(token)
        # section 2.2: nothing more is told of a token that is not active
        if claims is None:
            return {"active": False}
        kind = "DPoP" if "jkt" in claims.get("cnf", {}) else "Bearer"
        return {**claims, "active": True, "token_type": kind}

    def _is_of(self, family: Family, caller: str) -> bool:
        return is_same_client(family.client_id or self._provider.client_id, caller)

    def _redeem(self, fields: Fields, shown: Shown, caller: str) -> dict[str, Any]:
        for name in ("code", "redirect_uri", "code_verifier"):
            if not fields.get(name):
                raise OAuthError("invalid_request", f"{name} is missing")
        code = self._provider.grants.redeem(fields["code"], fields["redirect_uri"], fields["code_verifier"])
        if not self._is_of(code.family, caller):
            # RFC 6749 section 4.1.3
            code.family.alive = False
            raise OAuthError("invalid_grant", "the code is another client's")
        self._provider.judge_resources(fields.resources, code.family.resources)
        return self._provider.issue(
            code.family, nonce=code.nonce, resources=fields.resources, certificate=shown[0], key=shown[1]
        )

    def _refresh(self, fields: Fields, shown: Shown, caller: str) -> dict[str, Any]:
        provider = self._provider
        family = provider.grants.family_of(fields.get("refresh_token", ""))
        if family is not None and not self._is_of(family, caller):
            raise OAuthError("invalid_grant", "the refresh token is another client's")
        if family is not None and family.client_id and family.key != shown[1]:
            # RFC 9449 section 5: of a public client it is bound as well
            raise OAuthError("invalid_grant", "the refresh token is bound to another key")
        leeway = "refresh-reuse-leeway" in provider.quirks
        found = provider.grants.present(fields.get("refresh_token", ""), leeway=leeway)
        if isinstance(found, dict):
            return found
        wanted = fields.get("scope")
        # RFC 6749 section 6: never more than was granted
        if wanted is not None and not set(wanted.split()) <= set(found.scopes):
            raise OAuthError("invalid_scope", "more than was granted")
        provider.judge_resources(fields.resources, found.resources)
        return provider.issue(
            found, at_refresh=True, resources=fields.resources, certificate=shown[0], key=shown[1]
        )

    def _refused_refresh(self, error: OAuthError) -> web.Response:
        quirks = self._provider.quirks
        if "refresh-empty-400" in quirks:
            return web.Response(status=400)
        if "refresh-invalid-request" in quirks:
            error = OAuthError("invalid_request", error.description)
        return error_json(error)

    def _client_credentials(self, fields: dict[str, str]) -> dict[str, Any]:
        wanted = fields.get("scope", "api").split()
        if wanted != ["api"]:
            raise OAuthError("invalid_scope", "a client by itself may have the scope api")
        # RFC 9068 section 2.2: without a person the client is the subject
        provider = self._provider
        return provider.bearer(provider.mint(provider.client_id, "api"), "api")

    def _exchange(self, fields: dict[str, str]) -> dict[str, Any]:
        """Exchange an access token of ours for one for another audience (RFC 8693 section 2)."""
        provider = self._provider
        if not fields.get("subject_token") or fields.get("subject_token_type") != _TOKEN_TYPE:
            raise OAuthError(
                "invalid_request", "an access token is exchanged here: subject_token and its type"
            )
        if fields.get("requested_token_type", _TOKEN_TYPE) != _TOKEN_TYPE:
            raise OAuthError("invalid_request", "what is issued is an access token")
        claims = provider.read_access_token(fields["subject_token"])
        # section 2.2.2: a subject token that is not accepted makes the request invalid
        if claims is None:
            raise OAuthError("invalid_request", "the subject token is unknown, expired or revoked")
        audience = fields.get("audience") or fields.get("resource") or ""
        if audience not in provider.exchange_audiences:
            raise OAuthError("invalid_target", "nothing of this name is known here")
        held = str(claims["scope"]).split()
        wanted = fields.get("scope", " ".join(held)).split()
        if not set(wanted) <= set(held):
            raise OAuthError("invalid_scope", "more than the subject token has")
        more: dict[str, Any] = {name: claims[name] for name in ("sid", "auth_time", "acr") if name in claims}
        # section 4.1: who acts for whom
        more["act"] = {"sub": provider.client_id}
        scope = " ".join(wanted)
        token = provider.mint(str(claims["sub"]), scope, audience=audience, **more)
        return {**provider.bearer(token, scope), "issued_token_type": _TOKEN_TYPE}
