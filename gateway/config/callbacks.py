"""The paths of the providers' callbacks."""

from typing import Final

from gateway.config.settings.root import Settings

CONSOLE_CALLBACK: Final = "/console/callback"
"""Where the provider sends an operator back to, at the console's own origin."""


def callback_paths(settings: Settings) -> dict[str, str]:
    """Return the path of the callback of each provider that people log in at.

    Each has its own, so that no provider's answer is taken for another's (RFC 9700 section 4.4). The first
    keeps ``callback``, under which it is registered already.
    """
    return {
        name: settings.providers[name].callback or f"{settings.prefix}callback{f'/{name}' if index else ''}"
        for index, name in enumerate(login_providers(settings))
    }


def login_providers(settings: Settings) -> list[str]:
    """Return the names of the providers that people log in at, the default first."""
    return [name for name, each in settings.providers.items() if not each.bearer_only]
