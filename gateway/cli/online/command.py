"""Gathers what ``gateway check --online`` asks, and tells what came of it."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from gateway.cli.online import certificates, store, telemetry, upstreams
from gateway.cli.online.findings import Check, Finding
from gateway.cli.online.names import QUESTION, Names
from gateway.cli.online.providers import ProviderChecks
from gateway.cli.online.running import answer
from gateway.config.settings.root import Settings
from gateway.config.sites import site_urls
from gateway.syntax.urls import is_wild, split_site

_MOST_FOR_ONE: Final = 10.0


def find_out(settings: Settings, within: float) -> list[Finding]:
    """Ask everything that the configuration names, side by side.

    Args:
        settings: of a good configuration.
        within: seconds for everything; any one check may take ten of them.
    """
    return asyncio.run(ask_everything(settings, within))


async def ask_everything(settings: Settings, within: float) -> list[Finding]:
    """As ``find_out``, within an event loop."""
    each = min(_MOST_FOR_ONE, within)
    names = Names()
    providers = ProviderChecks(settings, names, each)
    try:
        checks = [
            *_sites(settings, names, each),
            *certificates.checks(settings),
            *providers.checks(),
            *store.checks(settings, names, each),
            *upstreams.checks(settings, names, each),
            *telemetry.checks(settings, names, each),
        ]
        return await answer(checks, within)
    finally:
        await providers.close()


def _sites(settings: Settings, names: Names, within: float) -> Iterator[Check]:
    """Yield whether the name of each site leads somewhere; of a wildcard, any name."""
    login = settings.login_host
    for url in site_urls(settings):
        parts = split_site(url)
        if parts is None:
            continue
        subject = "login_host" if url == login else "public_url"
        host = parts.hostname or ""
        if is_wild(url):
            host = f"gateway-check-{secrets.token_hex(3)}{parts.netloc.partition(':')[0][1:]}"

        async def ask(subject: str = subject, host: str = host) -> Sequence[Finding]:
            return [await names.finding(subject, host)]

        yield Check(subject, QUESTION, partial(ask), within)
