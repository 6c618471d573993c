"""The provider's side of back-channel logout (OpenID Connect Back-Channel Logout section 2.5)."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class LogoutAnswer:
    """What the client answered; header names compare without regard to case."""

    status: int
    headers: Mapping[str, str]
    text: str


async def post_logout_token(uri: str, token: str) -> LogoutAnswer:
    """Post a logout token. Raises aiohttp.ClientError or TimeoutError when no answer comes."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT), trust_env=False) as session,
        session.post(uri, data={"logout_token": token}, allow_redirects=False) as answer,
    ):
        return LogoutAnswer(answer.status, answer.headers.copy(), await answer.text(errors="replace"))
