"""Which HTTP proxy leads to a provider: the configured one, or the environment's."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from gateway.config.settings.root import Settings

DIRECT: Final = "none"
"""The setting's word for no proxy, whatever the environment says."""


def proxy_for(url: str, setting: str | None) -> str | None:
    """Return the URL of the proxy to ask for a URL of the provider, None for a direct connection.

    Without a setting it is ``HTTPS_PROXY`` or ``HTTP_PROXY`` by the scheme, or ``ALL_PROXY``, in lower or in
    upper case, except for what ``NO_PROXY`` names: hosts with everything below them, with or without a port,
    addresses, networks, or ``*``.

    Args:
        url: absolute.
        setting: the provider's ``proxy``.
    """
    if setting is not None:
        return None if setting == DIRECT else setting
    proxies = getproxies_environment()
    parts = urlsplit(url)
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or _is_excepted(
        parts.hostname or "", parts.netloc.rpartition("@")[2], proxies.get("no", "")
    ):
        return None
    return found if "://" in found else f"http://{found}"


def proxied(settings: Settings) -> list[str]:
    """Return a warning for each provider that is asked through a proxy because the environment names one."""
    return [
        f"providers.{name}: is asked through the environment's proxy, which counts since this version; add it"
        " to NO_PROXY, or set proxy"
        for name, provider in settings.providers.items()
        if provider.proxy is None and proxy_for(provider.discovery_url or provider.issuer, None) is not None
    ]


def _is_excepted(host: str, authority: str, exceptions: str) -> bool:
    for each in exceptions.lower().split(","):
        name = each.strip().removeprefix("*.").strip(".")
        if name == "*" or (
            name and any(f".{text.lower()}".endswith(f".{name}") for text in (host, authority))
        ):
            return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(_holds(each.strip().strip("[]"), address) for each in exceptions.split(","))


def _holds(text: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(text, strict=False)
    except ValueError:
        return False
