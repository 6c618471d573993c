"""The URLs of our sites."""

from gateway.config.settings.root import Settings
from gateway.syntax.urls import is_wild


def site_urls(settings: Settings) -> tuple[str, ...]:
    """Return the URL of each site, wildcards as they are, and that of ``login_host``."""
    login = settings.login_host
    return settings.public_url if login is None else (*settings.public_url, login)


def callback_urls(settings: Settings) -> tuple[str, ...]:
    """Return the URLs of the sites that logins come back to."""
    return settings.public_url if settings.login_host is None else (settings.login_host,)


def first_url(settings: Settings) -> str:
    """Return the URL of the first site that is one alone."""
    return next((url for url in site_urls(settings) if not is_wild(url)), settings.public_url[0])
