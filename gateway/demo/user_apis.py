"""Services that speak OAuth 2.0 without OpenID Connect, as GitHub, GitLab and Discord do; and one of its own.

Each is below a path of the demo provider (``/github/...``), with that provider's accounts and login form. No
answer names an issuer and no token is a JWT: who somebody is, the service's API tells.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from gateway.demo.authorization import AuthorizationEndpoint
from gateway.demo.clients import authenticate_by_secret
from gateway.demo.grants import Bounded, Family, OAuthError
from gateway.demo.messages import bearer_of, error_json, json_answer, parameters
from gateway.demo.people import SHAPES
from gateway.demo.state import ProviderState

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# where each has its OAuth endpoints: authorization, token, revocation
_OAUTH = {
    "github": ("/login/oauth/authorize", "/login/oauth/access_token", ""),
    "gitlab": ("/oauth/authorize", "/oauth/token", "/oauth/revoke"),
    "discord": ("/oauth2/authorize", "/api/oauth2/token", "/api/oauth2/token/revoke"),
    "generic": ("/authorize", "/token", ""),
}


class UserApis:
    """The services. ``provider.people`` are who the accounts are there."""

    def __init__(self, provider: ProviderState, authorization: AuthorizationEndpoint) -> None:
        self._provider = provider
        self._authorization = authorization
        self._tokens: Bounded[tuple[str, Family]] = Bounded()

    def endpoints(self) -> dict[str, tuple[str, Handler]]:
        """Return every endpoint by path, with the methods that it takes."""
        found: dict[str, tuple[str, Handler]] = {}
        for service, (authorize, token, revoke) in _OAUTH.items():
            found[f"/{service}{authorize}"] = ("GET", self._authorize(service))
            found[f"/{service}{token}"] = ("POST", self._token(service))
            if revoke:
                found[f"/{service}{revoke}"] = ("POST", self._revoke(service))
            for path, shape in SHAPES[service].items():
                found[f"/{service}{path}"] = ("GET", self._api(service, path, shape))
        return found

    def end(self, user: str) -> None:
        """Have every token of somebody refused from now on, as when they withdraw their consent."""
        for _, family in self._tokens.values():
            if family.user == user:
                family.alive = False

    def _authorize(self, service: str) -> Handler:
        async def authorize(request: web.Request) -> web.StreamResponse:
            return await self._authorization.authorize(request, service)

        return authorize

    def _token(self, service: str) -> Handler:
        provider = self._provider

        async def token(request: web.Request) -> web.StreamResponse:
            fields = await parameters(request, form_only=True)
            provider.counts[f"{service}:token:{fields.get('grant_type', '')}"] += 1
            if (spoiled := await provider.spoiled(request, "token", f"{service}:token")) is not None:
                return spoiled
            try:
                answer = self._granted(service, request, fields)
            except OAuthError as error:
                if service != "github":
                    return error_json(error)
                # GitHub has words of its own, and says them with 200
                answer = {
                    "error": _AT_GITHUB.get(error.error, error.error),
                    "error_uri": "https://docs.example",
                }
            if service == "github" and "application/json" not in request.headers.get("Accept", ""):
                return web.Response(text=urlencode(answer), content_type="application/x-www-form-urlencoded")
            return json_answer(answer)

        return token

    def _granted(self, service: str, request: web.Request, fields: dict[str, str]) -> dict[str, Any]:
        provider = self._provider
        if service == "github" and "client_secret" not in fields:
            raise OAuthError("invalid_client", "", 401)
        authenticate_by_secret(request, fields, provider.client_id, provider.client_secret)
        if fields.get("grant_type") == "refresh_token":
            family = provider.grants.present(fields.get("refresh_token", ""), leeway=False)
            assert isinstance(family, Family)
        else:
            code = provider.grants.redeem(
                fields.get("code", ""), fields.get("redirect_uri", ""), fields.get("code_verifier", "")
            )
            family = code.family
        return self._issue(service, family)

    def _issue(self, service: str, family: Family) -> dict[str, Any]:
        provider = self._provider
        prefix = {"github": "gho_", "gitlab": "glpat-"}.get(service, "")
        token = prefix + secrets.token_urlsafe(27)
        self._tokens[token] = service, family
        separator = "," if service == "github" else " "
        answer: dict[str, Any] = {
            "access_token": token,
            "scope": separator.join(family.scopes),
            "token_type": "bearer" if service == "github" else "Bearer",
        }
        if service in provider.lasting_tokens:
            return answer
        answer["expires_in"] = int(provider.access_lifetime)
        answer["refresh_token"] = provider.grants.issue_refresh_token(family)
        if service == "gitlab":
            answer["created_at"] = int(provider.clock())
        return answer

    def _revoke(self, service: str) -> Handler:
        provider = self._provider

        async def revoke(request: web.Request) -> web.StreamResponse:
            provider.counts[f"{service}:revocation"] += 1
            fields = await parameters(request, form_only=True)
            authenticate_by_secret(request, fields, provider.client_id, provider.client_secret)
            token = fields.get("token", "")
            found = self._tokens.get(token)
            family = found[1] if found is not None else provider.grants.family_of(token)
            if family is not None:
                family.alive = False
            return json_answer({})

        return revoke

    def _api(self, service: str, path: str, shape: Callable[[Any], Any]) -> Handler:
        provider = self._provider

        async def answer(request: web.Request) -> web.StreamResponse:
            provider.counts[f"{service}:{path}"] += 1
            if (spoiled := await provider.spoiled(request, "userinfo", f"{service}:{path}")) is not None:
                return spoiled
            found = self._tokens.get(bearer_of(request))
            if found is None or found[0] != service or not found[1].alive:
                return web.json_response({"message": "Bad credentials", "status": "401"}, status=401)
            return _paged(request, shape(provider.people[found[1].user]))

        return answer


_AT_GITHUB = {"invalid_grant": "bad_verification_code", "invalid_client": "incorrect_client_credentials"}


def _paged(request: web.Request, items: Any) -> web.Response:  # noqa: ANN401 - any JSON
    if not isinstance(items, list) or "page" not in request.query:
        return web.json_response(items)
    page, size = int(request.query["page"]), min(int(request.query.get("per_page", "30")), 100)
    links = {}
    if page * size < len(items):
        links["Link"] = f'<{request.url.with_query(page=page + 1)}>; rel="next", <{request.url}>; rel="last"'
    return web.json_response(items[(page - 1) * size : page * size], headers=links)
