"""What one provider publishes, metadata and keys: fetched, kept, probed, and told of where it is no use."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

from gateway.config.settings.providers import ProviderSettings
from gateway.core.decision.needs import Keys
from gateway.core.fault import Fault
from gateway.core.provider import ProviderMetadata
from gateway.core.reasons import Reason
from gateway.core.tokens.keys import KeySet
from gateway.edge.providers.cache import Cached, KeyCache
from gateway.edge.providers.client import CountedClient, Request
from gateway.edge.providers.faults import RETRY_AFTER, to_fault
from gateway.edge.tasks import stop
from gateway.oauth import discovery, jwks, user_api
from gateway.oauth.answers import is_success
from gateway.oauth.errors import MessageError

_METADATA_AGE: Final = 3600.0
_JSON: Final = {"Accept": "application/json"}
_PROBE_FIRST: Final = 1.0
_PROBE_EVERY: Final = 60.0
_MOST_TOLD: Final = 10


class Published:
    """The metadata and the keys of one provider.

    Args:
        name: of the provider, as configured.
        settings: of the provider.
        client: makes the calls, and counts them.
        clock: wall time in epoch seconds.
        report: takes a warning for the log: a message, and fields without secrets.
        view: takes the last good key set by the provider's name; the caller may put another in its place.
        allow_insecure_http: let endpoints use plain http beyond this machine.
    """

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        client: CountedClient,
        clock: Callable[[], float],
        report: Callable[..., None],
        view: dict[str, KeySet],
        *,
        allow_insecure_http: bool,
    ) -> None:
        self._name = name
        self._settings = settings
        self._client = client
        self._clock = clock
        self._report = report
        self.view = view
        self._allow_insecure_http = allow_insecure_http
        # by what is published: why its last fetch failed, empty where it did not
        self._troubles: dict[str, str] = {}
        self.last_trouble: tuple[str, float] | None = None
        """What went wrong last, and when (epoch seconds), however it is by now."""
        self._watching: asyncio.Task[None] | None = None
        self._told_keys: tuple[str, ...] = ()
        self.metadata = Cached(
            self._fetch_metadata, clock, renew_after=_METADATA_AGE, is_usable=lambda _value, _now: True
        )
        self.keys = KeyCache(
            self._fetch_keys,
            clock,
            renew_after=min(settings.jwks_max_age, settings.jwks_max_stale / 2),
            cooldown=settings.jwks_cooldown,
        )

    @property
    def is_up(self) -> bool | None:
        """Whether the last fetches of what is published succeeded, None before any."""
        return not any(self._troubles.values()) if self._troubles else None

    def key_counts(self) -> tuple[int | None, int]:
        """Return how many keys serve, None before the first good fetch, and how many were left out."""
        keys = self.view.get(self._name)
        if keys is None:
            return None, 0
        return len({id(key) for found in keys.keys.values() for key in found}), len(keys.left_out)

    def watch(self) -> None:
        """Probe the provider from now on, if nobody does yet."""
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        # after the start, and not all workers at once
        await asyncio.sleep(_PROBE_FIRST * random.uniform(1, 1.5))  # noqa: S311 - no secret
        while True:
            # what fails has been noted; a fresh value costs no call
            with contextlib.suppress(Fault):
                await self.metadata.get()
            if self._settings.kind == "oauth2":
                # it publishes nothing
                return
            with contextlib.suppress(Fault):
                await self.keys.find(Keys(self._name, None))
            await asyncio.sleep(_PROBE_EVERY * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def note(self, call: str, trouble: str) -> None:
        """Take note of how a fetch went, and say so where that is news; no ``trouble`` is good."""
        before = self._troubles.get(call)
        self._troubles[call] = trouble
        if trouble:
            self.last_trouble = trouble, self._clock()
        if trouble and trouble != before:
            self._report("provider unusable", provider=self._name, call=call, detail=trouble)
        elif before and not trouble:
            self._report("provider usable again", provider=self._name, call=call)

    def _note_keys(self, keys: KeySet) -> None:
        told = keys.left_out
        if told and told != self._told_keys:
            message = "keys left out" if keys.keys else "no key of the provider can be used"
            self._report(message, provider=self._name, detail="; ".join(told[:_MOST_TOLD]), count=len(told))
        elif not keys.keys and not told and self._told_keys != ("none",):
            self._report("the provider publishes no keys", provider=self._name)
            told = ("none",)
        self._told_keys = told

    async def close(self) -> None:
        """Stop the background work."""
        await stop(self._watching)
        await self.keys.close()
        await self.metadata.close()

    async def _fetch_metadata(self) -> ProviderMetadata:
        if self._settings.kind == "oauth2":
            return self._configured()
        url = discovery.metadata_url(self._settings)
        try:
            discovery.check_endpoint(
                "the discovery document", url, allow_insecure_http=self._allow_insecure_http
            )
            body = await self._get("metadata", url, discovery.MOST_METADATA)
            metadata = discovery.process_response(
                body, self._settings, allow_insecure_http=self._allow_insecure_http
            )
        except MessageError as error:
            self._client.count("metadata", "failed")
            self.note("metadata", error.detail)
            raise to_fault(error) from error
        except Fault as fault:
            self.note("metadata", fault.detail)
            raise
        self._client.count("metadata", "ok")
        self.note("metadata", "")
        return metadata

    def _configured(self) -> ProviderMetadata:
        """Return where the endpoints are of a provider that publishes nothing. Raises Fault."""
        try:
            return user_api.metadata_of(self._settings, allow_insecure_http=self._allow_insecure_http)
        except MessageError as error:
            raise to_fault(error) from error

    async def _fetch_keys(self) -> KeySet:
        asked_at = self._clock()
        try:
            url = await self._find_jwks_uri()
            body = await self._get("jwks", url, jwks.MOST_JWKS)
            keys = jwks.process_response(body, asked_at, self._settings.jwks_max_stale)
        except MessageError as error:
            self._client.count("jwks", "failed")
            self.metadata.doubt()
            self.note("jwks", error.detail)
            raise Fault("issuer", Reason.KEYS_UNAVAILABLE, error.detail, RETRY_AFTER) from error
        except Fault as fault:
            self.metadata.doubt()
            self.note("jwks", fault.detail)
            raise Fault("issuer", Reason.KEYS_UNAVAILABLE, fault.detail, RETRY_AFTER) from fault
        self._client.count("jwks", "ok")
        self.note("jwks", "")
        self._note_keys(keys)
        self.view[self._name] = keys
        return keys

    async def _find_jwks_uri(self) -> str:
        if self._settings.jwks_uri is None:
            return (await self.metadata.get()).jwks_uri
        return discovery.check_endpoint(
            "jwks_uri", self._settings.jwks_uri, allow_insecure_http=self._allow_insecure_http
        )

    async def _get(self, call: str, url: str, limit: int) -> bytes:
        response = await self._client.send(call, Request("GET", url, _JSON, limit))
        if not is_success(response.status):
            hint = "; redirects are not followed" if 300 <= response.status < 400 else ""
            raise MessageError(
                f"{call}_unavailable", f"{url.partition('?')[0]} answered {response.status}{hint}"
            )
        return response.body
