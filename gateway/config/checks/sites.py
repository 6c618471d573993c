"""Checks of the sites: their URLs, where people log in for all of them, and what their cookies are for."""

from collections.abc import Iterator
from typing import Final

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.root import Settings
from gateway.config.sites import site_urls
from gateway.syntax import urls

_LEAST_LABELS: Final = 2
"""What a wildcard stands before, and what a cookie is for, has a dot: nobody owns a top-level domain."""


def check_sites(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of the sites."""
    yield from _check_public_urls(settings)
    yield from _check_login_host(settings)
    yield from _check_cookie_domain(settings)


def _check_public_urls(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    secure_hosts: dict[str | None, int] = {}
    for index, url in enumerate(settings.public_url):
        at: Path = ("public_url", index)
        message, parts = _judge(settings, url), urls.split_site(url)
        if message is not None or parts is None:
            yield Problem(at, message or "not a URL")
            continue
        authority = urls.authority_of(parts)
        if authority in seen:
            yield Problem(at, f"the same host as public_url[{seen[authority]}]")
            continue
        seen[authority] = index
        # the names of __Host- cookies hold no port, so one host's sessions would overwrite each other
        if parts.scheme == "https" and secure_hosts.setdefault(parts.hostname, index) != index:
            yield Problem(at, "another port of a host above: cookies ignore ports, so use another host name")
        if urls.is_wild(url) and settings.login_host is None:
            yield Problem(
                at,
                "a wildcard needs login_host: no provider has a callback registered for each name under it",
            )
        elif urls.is_wild(url) and not _is_owned(urls.host_of(parts)[2:]):
            yield Problem(at, "a wildcard stands before a domain of your own, with a dot in it")


def _judge(settings: Settings, url: str) -> str | None:
    plain = url.replace("://*.", "://w.", 1)
    # whatever is below localhost is this machine as well (RFC 6761 section 6.3)
    insecure = settings.allow_insecure_http or _is_local(url)
    return urls.judge_url(plain, insecure=insecure, path=False, query=False)


def _is_local(url: str) -> bool:
    parts = urls.split_site(url)
    return parts is not None and (parts.hostname or "").endswith(".localhost")


def _is_owned(domain: str) -> bool:
    return len(domain.split(".")) >= _LEAST_LABELS or domain == "localhost"


def _check_login_host(settings: Settings) -> Iterator[Problem]:
    url, at = settings.login_host, ("login_host",)
    if url is None:
        return
    if urls.is_wild(url):
        yield Problem(at, "one host alone: its callback is registered with the providers")
        return
    message, parts = _judge(settings, url), urls.split_url(url)
    if message is not None or parts is None:
        yield Problem(at, message or "not a URL")
        return
    others = [each for each in map(urls.split_site, settings.public_url) if each is not None]
    if any(each.scheme != parts.scheme for each in others):
        yield Problem(at, "https, as every public_url, or http as every public_url: a session is of one kind")
    same = [each for each in others if each.hostname == parts.hostname]
    if parts.scheme == "https" and any(urls.port_of(each) != urls.port_of(parts) for each in same):
        yield Problem(at, "another port of a public_url: cookies ignore ports, so use another host name")


def _check_cookie_domain(settings: Settings) -> Iterator[Problem]:
    domain, at = settings.cookie_domain, ("cookie_domain",)
    if domain is None:
        return
    if not urls.is_host(domain) or domain != domain.lower() or domain.rpartition(".")[2].isdigit():
        yield Problem(at, "write a domain in lower case, such as apps.example.com, without a dot before it")
        return
    if not _is_owned(domain):
        yield Problem(at, "a domain of your own, with a dot in it")
    for url in site_urls(settings):
        parts = urls.split_site(url)
        if parts is not None and not f".{parts.hostname}".endswith(f".{domain}"):
            yield Problem(at, "a domain that every public_url and login_host is in")
            return
    if any(url.lower().startswith("http:") for url in site_urls(settings)):
        yield Problem(at, "for https alone: over plain http anybody on the way sets cookies for a domain")


def warn_sites(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed and yet hardly meant."""
    if settings.cookie_domain is not None:
        yield Problem(
            ("cookie_domain",),
            "every host of that domain is sent the sessions of all of them, also those that are not behind"
            " this gateway, and whoever controls one can use them; login_host gives each site a session"
            " of its own",
        )
    if settings.login_host is not None and all(
        urls.split_site(url) == urls.split_site(settings.login_host) for url in settings.public_url
    ):
        yield Problem(("login_host",), "it is the only site, so it changes nothing")
