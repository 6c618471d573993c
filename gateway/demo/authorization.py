"""The demo provider's authorization endpoint and its login form (OIDC Core section 3.1.2, RFC 7636)."""

import hmac
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gateway.demo.authentication import authenticate_own
from gateway.demo.grants import LOGIN_LIFETIME, PUSHED_LIFETIME, Ask, Fields, OAuthError
from gateway.demo.messages import html_answer, json_answer, parameters, redirect
from gateway.demo.pages import form_post, login_form, message
from gateway.demo.state import SCOPES, ProviderState

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_UNSUPPORTED = {"request": "request_not_supported", "request_uri": "request_uri_not_supported"}
_REFERENCE = "urn:ietf:params:oauth:request_uri:"
_OF_AUTHENTICATION = ("client_secret", "client_assertion", "client_assertion_type")
_AMR = {"pwd": ("pwd",), "mfa": ("pwd", "otp")}


class AuthorizationEndpoint:
    """Shows the form to everybody, every time: the provider keeps no session in the browser.

    So ``prompt=login`` and any ``max_age`` are satisfied by the way it works, and ``prompt=none`` never is.
    """

    def __init__(self, provider: ProviderState) -> None:
        self._provider = provider

    async def authorize(self, request: web.Request, service: str = "") -> web.StreamResponse:
        """Check an authorization request and show the login form.

        ``service`` is one that speaks OAuth 2.0 alone (``gateway.demo.user_apis``), empty for the provider.
        """
        provider = self._provider
        provider.counts["authorize"] += 1
        if "signing-key-rotation" in provider.quirks:
            provider.rotate_keys()
        try:
            fields = self._pushed(await parameters(request))
        except OAuthError as error:
            return self._dead_end(error.description)
        try:
            client, uris = await self._client(fields.get("client_id", ""), service)
        except OAuthError as error:
            return self._dead_end(f"This client cannot be known: {error.description}.")
        uri = fields.get("redirect_uri")
        # an address that is not registered must never be redirected to (RFC 6749 section 4.1.2.1)
        if uri is None or uri not in uris:
            return self._dead_end("This redirect_uri is not registered for the client.")
        try:
            ask = self._check(fields, uri, service, client)
        except OAuthError as error:
            return self._back(
                uri, fields.get("state"), service, error=error.error, error_description=error.description
            )
        return self._form(provider.grants.remember(ask), ask, user=ask.login_hint, failed=False)

    async def _client(self, client_id: str, service: str) -> tuple[str, tuple[str, ...]]:
        """Return a client that has registered itself, empty for the provider's own, and where it is.

        Raises:
            OAuthError: there is no such client.
        """
        provider = self._provider
        if client_id == provider.client_id:
            return "", provider.redirect_uris
        found = None if service else await provider.registered.find(client_id)
        if found is None:
            raise OAuthError("invalid_client", "no client of that name is registered")
        return found.client_id, found.redirect_uris

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Take an authorization request by the back channel (RFC 9126 section 2)."""
        provider = self._provider
        provider.counts["par"] += 1
        fields = await parameters(request, form_only=True)
        if (spoiled := await provider.spoiled(request, "par")) is not None:
            return spoiled
        await authenticate_own(provider, request, fields)
        if "par-refused" in provider.quirks or "request_uri" in fields:
            raise OAuthError("invalid_request", "a pushed request is no reference to another")
        if fields.get("client_id") != provider.client_id:
            raise OAuthError("invalid_request", "client_id is missing, or another client's")
        if fields.get("redirect_uri") not in provider.redirect_uris:
            raise OAuthError("invalid_redirect_uri", "this redirect_uri is not registered for the client")
        self._check(fields, fields["redirect_uri"], "")
        reference = f"{_REFERENCE}{secrets.token_urlsafe(24)}"
        lifetime = 0.0 if "par-expired" in provider.quirks else PUSHED_LIFETIME
        for name in _OF_AUTHENTICATION:
            fields.pop(name, None)
        provider.grants.pushed[reference] = fields, provider.clock() + lifetime
        answer: dict[str, Any] = {"request_uri": reference, "expires_in": int(PUSHED_LIFETIME)}
        if "par-no-request-uri" in provider.quirks:
            del answer["request_uri"]
        return json_answer(answer, 201)

    def _pushed(self, fields: Fields) -> Fields:
        """Return what was pushed, where a request refers to it: once, and in time (RFC 9126 section 4)."""
        provider = self._provider
        if provider.pushed_requests == "no":
            return fields
        reference = fields.get("request_uri")
        if reference is None:
            if provider.pushed_requests == "required":
                raise OAuthError("invalid_request", "Authorization requests have to be pushed here.")
            return fields
        found, expires = provider.grants.pushed.pop(reference, (Fields(), 0.0))
        if provider.clock() >= expires or fields.get("client_id") != found.get("client_id"):
            raise OAuthError(
                "invalid_request", "This request_uri is unknown, was used before, or has expired."
            )
        return found

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Take the form: go back to the client with a code, or show the form again."""
        provider = self._provider
        provider.counts["login"] += 1
        fields = await parameters(request, form_only=True)
        name = fields.get("transaction", "")
        ask = provider.grants.find_ask(name)
        if ask is None:
            return self._dead_end(
                "This login is over or too old. Go back to the application and begin again."
            )
        user = fields.get("username", "")
        account = provider.accounts.get(user, {})
        right, given = str(account.get("password", "")), fields.get("password", "")
        if not right or not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
            return self._form(name, ask, user=user, failed=True)
        del provider.grants.asks[name]
        acr = next((each for each in ask.acr_values if each in account.get("acr", ["pwd"])), "pwd")
        code = provider.grants.begin(user, ask, acr, _AMR.get(acr, ("pwd",)))
        if ask.form_post:
            # OAuth 2.0 Form Post Response Mode section 2, but for the script that would send it
            answer = {"code": code, "state": ask.state, "iss": provider.issuer}
            return html_answer(form_post(ask.redirect_uri, answer), 200, _targets(ask.redirect_uri))
        return self._back(ask.redirect_uri, ask.state or None, ask.service, code=code)

    def _check(self, fields: Fields, uri: str, service: str, client: str = "") -> Ask:
        for name, error in _UNSUPPORTED.items():
            if name in fields:
                raise OAuthError(error, f"{name} is not supported")
        if fields.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "only response_type=code is supported")
        if fields.get("response_mode", "query") not in ("query", "form_post"):
            raise OAuthError("invalid_request", "only response_mode=query and form_post are supported")
        wanted = fields.get("scope", "").split()
        if service and not {"openid", "nonce"}.isdisjoint((*wanted, *fields)):
            raise OAuthError("invalid_scope", "there is no OpenID Connect here")
        if not service and not client and "openid" not in wanted:
            raise OAuthError("invalid_scope", "scope must have openid")
        challenge = fields.get("code_challenge", "")
        if fields.get("code_challenge_method") != "S256" or _CHALLENGE.fullmatch(challenge) is None:
            raise OAuthError("invalid_request", "PKCE with code_challenge_method=S256 is required")
        if "none" in fields.get("prompt", "").split():
            raise OAuthError("login_required", "nobody is logged in here without the form")
        if not fields.get("max_age", "0").isdecimal():
            raise OAuthError("invalid_request", "max_age is a number of seconds")
        if client:
            self._provider.registered.judge_resources(fields.resources)
        else:
            self._provider.judge_resources(fields.resources)
        return Ask(
            redirect_uri=uri,
            state=fields.get("state", ""),
            nonce=fields.get("nonce"),
            scopes=tuple(wanted) if service else tuple(name for name in SCOPES if name in wanted),
            challenge=challenge,
            acr_values=tuple(fields.get("acr_values", "").split()),
            login_hint=fields.get("login_hint", ""),
            expires=self._provider.clock() + LOGIN_LIFETIME,
            form_post=fields.get("response_mode") == "form_post",
            service=service,
            prompt=fields.get("prompt", ""),
            resources=fields.resources,
            client_id=client,
        )

    def _back(self, uri: str, state: str | None, service: str, **fields: str) -> web.Response:
        # RFC 9207: the answer says whose it is
        issuer = None if service else self._provider.issuer
        return redirect(uri, {**fields, "state": state, "iss": issuer})

    def _dead_end(self, explanation: str) -> web.Response:
        return html_answer(message("This login cannot go on", explanation), 400)

    def _form(self, name: str, ask: Ask, *, user: str, failed: bool) -> web.Response:
        provider = self._provider
        hints = [
            f"{user} / {user}" for user, each in provider.accounts.items() if each.get("password") == user
        ]
        note = f"Authentication asked for: {', '.join(ask.acr_values)}." if ask.acr_values else ""
        if ask.prompt:
            note = f"{note} Prompt asked for: {ask.prompt}.".lstrip()
        html = login_form(
            name,
            ask.client_id or provider.client_id,
            ask.scopes,
            user=user,
            note=note,
            hints=hints,
            failed=failed,
        )
        return html_answer(html, 403 if failed else 200, _targets(ask.redirect_uri))


def _targets(redirect_uri: str) -> tuple[str, ...]:
    client = urlsplit(redirect_uri)
    # browsers hold the redirect that answers a form to form-action as well
    return "'self'", f"{client.scheme}://{client.netloc}"
