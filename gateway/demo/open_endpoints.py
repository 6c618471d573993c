"""The demo provider's endpoints that ask for no client: metadata, keys, UserInfo, logout, and the extras."""

from typing import Any

from aiohttp import web

from gateway.demo.clients import ALGORITHMS, certificate_of, thumbprint_of
from gateway.demo.grants import GRANTS, OAuthError
from gateway.demo.messages import bearer_of, html_answer, json_answer, parameters, redirect
from gateway.demo.pages import message
from gateway.demo.proofs import ALGORITHMS as PROOF_ALGORITHMS
from gateway.demo.state import ACR_VALUES, SCOPES, ProviderState


class OpenEndpoints:
    """Whoever calls them is either nobody in particular or brings a token."""

    def __init__(self, provider: ProviderState) -> None:
        self._provider = provider

    async def discovery(self, request: web.Request) -> web.StreamResponse:
        """What the provider says of itself (OpenID Connect Discovery 1.0 section 3, RFC 8414)."""
        provider = self._provider
        provider.counts["discovery"] += 1
        if (spoiled := await provider.spoiled(request, "discovery")) is not None:
            return spoiled
        base = provider.base + "/" * ("double-slash-endpoints" in provider.quirks)
        mismatch = "discovery-issuer-mismatch" in provider.quirks
        return json_answer(
            self._more(base)
            | {
                "issuer": "https://somewhere-else.example" if mismatch else provider.issuer,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/jwks",
                "userinfo_endpoint": f"{base}/userinfo",
                "revocation_endpoint": f"{base}/revoke",
                "introspection_endpoint": f"{base}/introspect",
                "introspection_signing_alg_values_supported": ["RS256"],
                "registration_endpoint": f"{base}/register",
                "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
                "client_id_metadata_document_supported": provider.registered.trusted is not None,
                "end_session_endpoint": f"{base}/logout",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "form_post"],
                "grant_types_supported": list(GRANTS),
                "subject_types_supported": ["public"],
                "acr_values_supported": list(ACR_VALUES),
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                    "private_key_jwt",
                    "tls_client_auth",
                    "none",
                ],
                "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
                "code_challenge_methods_supported": ["S256"],
                "prompt_values_supported": ["none", "login"],
                "authorization_response_iss_parameter_supported": True,
                "backchannel_logout_supported": True,
                "backchannel_logout_session_supported": True,
                "request_parameter_supported": False,
                "request_uri_parameter_supported": False,
            },
            cacheable=True,
        )

    def _more(self, base: str) -> dict[str, Any]:
        """Return what is published beside: pushed requests, and where clients show certificates."""
        provider = self._provider
        more: dict[str, Any] = {}
        if provider.pushed_requests != "no":
            more["pushed_authorization_request_endpoint"] = f"{base}/par"
            more["require_pushed_authorization_requests"] = provider.pushed_requests == "required"
        if provider.tls_port:
            secure = f"https://localhost:{provider.tls_port}"
            more["tls_client_certificate_bound_access_tokens"] = True
            more["mtls_endpoint_aliases"] = {
                name: f"{secure}/{path}"
                for name, path in (
                    ("token_endpoint", "token"),
                    ("revocation_endpoint", "revoke"),
                    ("introspection_endpoint", "introspect"),
                    ("userinfo_endpoint", "userinfo"),
                    ("pushed_authorization_request_endpoint", "par"),
                )
                if name != "pushed_authorization_request_endpoint" or provider.pushed_requests != "no"
            }
        return more

    async def jwks(self, request: web.Request) -> web.StreamResponse:
        """The keys that its tokens are signed with (RFC 7517)."""
        provider = self._provider
        provider.counts["jwks"] += 1
        if (spoiled := await provider.spoiled(request, "jwks")) is not None:
            return spoiled
        quirks = provider.quirks
        jwks = provider.keys.jwks(
            only_one="kid-absent-single-jwks" in quirks, several="kid-absent-multiple-jwks" in quirks
        )
        return json_answer(jwks, cacheable=True)

    async def userinfo(self, request: web.Request) -> web.StreamResponse:
        """UserInfo (OpenID Connect Core section 5.3)."""
        provider = self._provider
        provider.counts["userinfo"] += 1
        if (spoiled := await provider.spoiled(request, "userinfo")) is not None:
            return spoiled
        token = bearer_of(request)
        claims = provider.read_access_token(token) if token else None
        if claims is None:
            challenge = 'Bearer error="invalid_token"' if token else "Bearer"
            return web.Response(status=401, headers={"WWW-Authenticate": challenge}, text="401\n")
        bound = (claims.get("cnf") or {}).get("x5t#S256")
        shown = certificate_of(request)
        by_key = "jkt" in (claims.get("cnf") or {})
        if by_key or (bound is not None and (shown is None or thumbprint_of(shown) != bound)):
            # RFC 8705 section 3: a bound token is good in no other hands
            return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        scopes = tuple(str(claims["scope"]).split())
        if "openid" not in scopes:
            challenge = 'Bearer error="insufficient_scope", scope="openid"'
            return web.Response(status=403, headers={"WWW-Authenticate": challenge}, text="403\n")
        subject = str(claims["sub"])
        other = "-other" if "userinfo-invalid-sub" in provider.quirks else ""
        return json_answer({"sub": subject + other, **provider.tokens.profile(subject, scopes)})

    async def groups(self, request: web.Request) -> web.StreamResponse:
        """The groups of whose token it is, as Microsoft Graph answers ``/me/getMemberObjects``."""
        provider = self._provider
        provider.counts["groups"] += 1
        if (spoiled := await provider.spoiled(request, "userinfo", "groups")) is not None:
            return spoiled
        claims = provider.read_access_token(bearer_of(request))
        if claims is None or await request.read() != b'{"securityEnabledOnly":false}':
            return web.json_response({"error": {"code": "InvalidAuthenticationToken"}}, status=401)
        context = f"{provider.base}/graph/$metadata#Collection(Edm.String)"
        groups = provider.accounts[str(claims["sub"])].get("groups", [])
        return web.json_response({"@odata.context": context, "value": groups})

    async def logout(self, request: web.Request) -> web.StreamResponse:
        """RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0)."""
        provider = self._provider
        provider.counts["logout"] += 1
        fields = await parameters(request)
        hint = provider.keys.verify(fields.get("id_token_hint", ""))
        places = None if hint is None else provider.post_logout_uris(str(hint.get("aud")))
        if hint is None or places is None:
            explanation = "No login was named, so none was ended. This provider keeps no cookie in browsers."
            return html_answer(message("Nobody to log out", explanation), 400)
        family = provider.grants.families.get(str(hint.get("sid")))
        if family is not None:
            family.alive = False
        wanted = fields.get("post_logout_redirect_uri")
        if wanted is None or wanted not in places:
            return html_answer(message("Logged out", "Your login at the demo identity provider has ended."))
        state = fields.get("state")
        if "rp-init-logout-no-state" in provider.quirks:
            state = None
        elif "rp-init-logout-other-state" in provider.quirks:
            state = "other"
        return redirect(wanted, {"state": state})

    async def mint(self, request: web.Request) -> web.StreamResponse:
        """Hand out an access token for trying APIs with curl: ``/mint?user=alice&scope=api``."""
        provider = self._provider
        provider.counts["mint"] += 1
        fields = await parameters(request)
        if fields.get("user") not in provider.accounts:
            raise OAuthError("invalid_request", f"name a user: {', '.join(provider.accounts)}")
        wanted = fields.get("scope", "").split()
        scope = " ".join(name for name in SCOPES if name in wanted)
        return web.Response(text=provider.mint(fields["user"], scope), headers={"Cache-Control": "no-store"})

    async def home(self, request: web.Request) -> web.StreamResponse:
        """Tell what this is."""
        del request
        explanation = (
            "This is the identity provider of Token Gateway's demo. Logins begin at the gateway,"
            " not here; /.well-known/openid-configuration tells what there is."
        )
        return html_answer(message("Demo identity provider", explanation))
