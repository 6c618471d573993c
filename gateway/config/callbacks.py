"""The paths of the providers' callbacks."""

from gateway.config.settings.root import Settings


def callback_paths(settings: Settings) -> dict[str, str]:
    """Return the path of each provider's callback.

    Each has its own, so that no provider's answer is taken for another's (RFC 9700 section 4.4). The first
    keeps ``callback``, under which it is registered already.
    """
    return {
        name: each.callback or f"{settings.prefix}callback{f'/{name}' if index else ''}"
        for index, (name, each) in enumerate(settings.providers.items())
    }
