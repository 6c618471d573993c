"""One OpenID Connect provider: all calls that are made to it, and what it publishes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from gateway.core.fault import Fault
from gateway.core.provider import Provider, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.tokens import signed_userinfo
from gateway.core.tokens.keys import KeySet
from gateway.edge.providers.client import CountedClient, Request, posted
from gateway.edge.providers.exchange_endpoint import ExchangeEndpoint
from gateway.edge.providers.faults import to_fault
from gateway.edge.providers.introspection import IntrospectionEndpoint
from gateway.edge.providers.published import Published
from gateway.edge.providers.stats import ProviderStats
from gateway.edge.providers.token_endpoint import TokenEndpoint
from gateway.edge.providers.token_userinfo import TokenUserInfos
from gateway.edge.providers.user_api import UserApi
from gateway.edge.providers.verification import verified
from gateway.oauth import authorization, graph, pushed, revocation, user_api, userinfo
from gateway.oauth.errors import MessageError
from gateway.oauth.query import Parameters
from gateway.syntax.encoding import Json

_CALLS_OF_A_REFRESH: Final = 4


class ProviderCalls:
    """One provider: ``published`` is what it publishes, ``tokens`` and ``exchange`` its token endpoint.

    ``introspection`` is its introspection endpoint.
    """

    def __init__(
        self,
        provider: Provider,
        clock: Callable[[], float],
        view: dict[str, KeySet],
        counts: "Counter[tuple[str, str]]",
        *,
        allow_insecure_http: bool,
        report: Callable[..., None],
    ) -> None:
        """Prepare for ``provider``; ``counts`` counts by (call, outcome), ``view`` takes its key sets."""
        self._provider = provider
        self._clock = clock
        self._allow_insecure_http = allow_insecure_http
        self.settings = provider.settings
        self._client = CountedClient(provider.settings, counts, clock)
        self.published = Published(
            provider.name,
            provider.settings,
            self._client,
            clock,
            report,
            view,
            allow_insecure_http=allow_insecure_http,
        )
        self._user_api = UserApi(provider.settings, self._client)
        self.tokens = TokenEndpoint(
            provider.settings, self._client, self.published.metadata.get, clock, self._ask_again
        )
        self.exchange = ExchangeEndpoint(provider.settings, self._client, self.published.metadata.get, clock)
        self.token_userinfo = TokenUserInfos(
            self.call_userinfo, provider.settings.token_userinfo or 0.0, clock
        )
        self.introspection = IntrospectionEndpoint(provider, self._client, self.published, clock)

    def is_for(self, provider: Provider, *, allow_insecure_http: bool) -> bool:
        """Tell whether this is the provider as it is configured now."""
        return self.settings == provider.settings and self._allow_insecure_http == allow_insecure_http

    def stats(self) -> ProviderStats:
        """Return the figures of now."""
        published = self.published
        counts = dict(self._client.counts)
        return ProviderStats(
            published.keys.age,
            counts,
            published.is_up,
            *published.key_counts(),
            last_trouble=published.last_trouble,
        )

    async def retire(self) -> None:
        """Close once what is under way has ended."""
        # a token call that is cut may have rotated a refresh token
        await asyncio.sleep(_CALLS_OF_A_REFRESH * self.settings.timeout)
        await self.close()

    async def close(self) -> None:
        """Stop the background work and close connections."""
        await self.introspection.close()
        await self.token_userinfo.close()
        await self.published.close()
        await self._client.close()

    async def authorization_url(self, parameters: Parameters, admit: Callable[[], None]) -> str:
        """Return where a browser logs in that asks for this, pushed or in the URL. Raises Fault.

        ``admit`` is called before a call to the provider, and may raise Fault.
        """
        metadata = await self.published.metadata.get()
        try:
            if not pushed.is_wanted(metadata, self.settings):
                return authorization.build_request(metadata, parameters)
            admit()
            request = pushed.build_request(metadata, self.settings, parameters)
            response = await self._client.send("par", posted(request, pushed.MOST_RESPONSE, "pushed"))
            reference = pushed.process_response(response.status, response.body)
        except MessageError as error:
            self._client.count("par", "refused" if error.is_misconfiguration else "failed")
            raise to_fault(error) from error
        self._client.count("par", "ok")
        return pushed.build_reference(metadata, self.settings, reference)

    async def call_userinfo(
        self, access_token: str, pool: Literal["login", "refresh", "introspection"]
    ) -> tuple[int, dict[str, Json] | None]:
        """Return the status and the UserInfo claims, None where the token was refused. Raises Fault."""
        metadata = await self.published.metadata.get()
        if self.settings.kind == "oauth2":
            return await self._ask_user_api(metadata, access_token, pool)
        try:
            url, headers = userinfo.build_request(metadata, access_token)
            request = Request("GET", url, headers, userinfo.MOST_USERINFO, pool=pool)
            response = await self._client.send("userinfo", request)
            if userinfo.is_signed(response.status, response.content_type):
                claims: dict[str, Json] | None = await self._verify_userinfo(response.body)
            else:
                claims = userinfo.process_response(response.status, response.content_type, response.body)
        except MessageError as error:
            self._client.count("userinfo", "failed")
            raise to_fault(error) from error
        self._client.count("userinfo", "refused" if claims is None else "ok")
        return response.status, claims

    async def _ask_user_api(
        self,
        metadata: ProviderMetadata,
        access_token: str,
        pool: Literal["login", "refresh", "introspection"],
    ) -> tuple[int, dict[str, Json] | None]:
        """Ask the user API, and take note of whether it is of use. Raises Fault."""
        try:
            found = await self._user_api.ask(metadata, access_token, pool)
        except Fault as fault:
            self.published.note("userinfo", fault.detail)
            raise
        self.published.note("userinfo", "")
        return found

    async def call_groups(self, access_token: str, pool: Literal["login", "refresh"]) -> list[Json]:
        """Return the groups of the person that an access token is of. Raises Fault."""
        try:
            asked = graph.build_request(
                self.settings, access_token, allow_insecure_http=self._allow_insecure_http
            )
            request = Request("POST", asked.url, asked.headers, graph.MOST_GROUPS_ANSWER, graph.BODY, pool)
            response = await self._client.send("userinfo", request)
            groups = graph.process_response(response.status, response.body)
        except MessageError as error:
            self._client.count("userinfo", "failed")
            raise to_fault(error) from error
        self._client.count("userinfo", "ok")
        return [*groups]

    async def _ask_again(self, access_token: str) -> TokenSet | TokenRefusal:
        """Ask whose an access token is that stands for a grant: whether it still holds. Raises Fault."""
        _, claims = await self.call_userinfo(access_token, "refresh")
        if claims is None:
            return TokenRefusal("invalid_token")
        return user_api.confirmed(access_token, self.settings, claims)

    async def _verify_userinfo(self, body: bytes) -> dict[str, Json]:
        """Return the claims of a signed answer. Raises Fault, MessageError."""
        found = await verified(
            self.published.keys.find,
            self._provider.name,
            body.decode("latin-1").strip(),
            lambda keys: signed_userinfo.check(
                body, self._provider, keys, self._clock(), userinfo.MOST_USERINFO
            ),
        )
        if isinstance(found, Reason):
            raise MessageError(
                "userinfo_malformed", f"the userinfo endpoint's signed answer is refused: {found}"
            )
        return dict(found)

    async def call_revocation(self, refresh_token: str) -> bool:
        """Revoke a refresh token; False where the provider cannot. Raises Fault."""
        metadata = await self.published.metadata.get()
        try:
            access_token = user_api.access_token_of(refresh_token)
            hint: Literal["access_token", "refresh_token"]
            hint = "refresh_token" if access_token is None else "access_token"
            request = revocation.build_request(metadata, self.settings, access_token or refresh_token, hint)
            if request is None:
                return False
            response = await self._client.send(
                "revocation", posted(request, revocation.MOST_RESPONSE, "revocation")
            )
            revocation.process_response(response.status)
        except MessageError as error:
            self._client.count("revocation", "failed")
            raise to_fault(error) from error
        self._client.count("revocation", "ok")
        return True
