"""The calls to a user API: whose an access token is, and what else is told of them."""

import asyncio
from typing import Literal

from gateway.config.settings.providers import ProviderSettings
from gateway.core.fault import Fault
from gateway.core.provider import ProviderMetadata
from gateway.edge.providers.client import CountedClient, Request, Response
from gateway.edge.providers.faults import to_fault, unavailable
from gateway.oauth import user_api
from gateway.oauth.errors import MessageError
from gateway.oauth.user_api import UserApiRequest
from gateway.oauth.user_claims import PARTS
from gateway.syntax.encoding import Json

_Pool = Literal["login", "refresh", "introspection"]


class UserApi:
    """The user API of one provider. All calls for one answer are held to the provider's time-out together.

    Args:
        settings: of the provider.
        client: makes the calls, and counts them as ``userinfo``.
    """

    def __init__(self, settings: ProviderSettings, client: CountedClient) -> None:
        self._settings = settings
        self._client = client

    async def ask(
        self, metadata: ProviderMetadata, access_token: str, pool: _Pool
    ) -> tuple[int, dict[str, Json] | None]:
        """Return the status and the claims of a user, None where the access token was refused.

        Raises:
            Fault: neither.
        """
        try:
            async with asyncio.timeout(self._settings.timeout):
                claims = await self._gather(metadata, access_token, pool)
        except TimeoutError:
            self._client.count("userinfo", "failed")
            raise unavailable(Fault, "the user API did not tell everything in time") from None
        except MessageError as error:
            self._client.count("userinfo", "failed")
            raise to_fault(error) from error
        self._client.count("userinfo", "refused" if claims is None else "ok")
        return (401 if claims is None else 200), claims

    async def _gather(
        self, metadata: ProviderMetadata, access_token: str, pool: _Pool
    ) -> dict[str, Json] | None:
        response = await self._get(user_api.build_request(metadata, access_token), pool)
        user = user_api.process_user(response.status, response.body)
        if user is None:
            return None
        parts: dict[str, list[Json]] = {}
        for name, request in user_api.part_requests(metadata, self._settings, access_token).items():
            items = await self._list(name, request, pool)
            if items is None:
                return None
            parts[name] = items
        return user_api.claims_of(self._settings, user, parts)

    async def _list(self, name: str, request: UserApiRequest, pool: _Pool) -> list[Json] | None:
        """Return all pages of a list, None where the access token was refused."""
        if not PARTS[name].is_paged:
            response = await self._get(request, pool)
            return user_api.process_part(name, response.status, response.body)
        items: list[Json] = []
        for number in range(1, user_api.MOST_PAGES + 1):
            response = await self._get(user_api.page_of(request, number), pool)
            page = user_api.process_part(name, response.status, response.body)
            if page is None:
                return None
            items += page
            if not user_api.has_more(response.link):
                return items
        raise user_api.too_many(name)

    async def _get(self, request: UserApiRequest, pool: _Pool) -> Response:
        return await self._client.send(
            "userinfo", Request("GET", request.url, request.headers, user_api.MOST_ANSWER, pool=pool)
        )
