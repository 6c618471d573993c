"""Checks of what guards the public listener: TLS and rate limits."""

import re
from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.listener import HstsSettings
from gateway.config.settings.root import Settings
from gateway.syntax.tokens import is_token

_PRELOAD_AGE = 365 * 86400
_SECRET_NAME = re.compile(
    r"token|secret|cookie|auth|passw|credential|assertion|jwt|key|signature|session", re.IGNORECASE
)


def check_log(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with what log lines are to repeat (R16)."""
    for index, claim in enumerate(settings.log.claims):
        if not claim or claim.strip() != claim:
            yield Problem(("log", "claims", index), "write a claim's name without white space")
    if settings.log.user.strip() != settings.log.user:
        yield Problem(("log", "user"), "write a claim's name without white space, sub or none")
    own, at_own = settings.log.proxy_request_id, ("log", "proxy_request_id")
    if own is not None and not is_token(own):
        yield Problem(at_own, "not the name of a header field (RFC 9110 section 5.6.2)")
    elif own is not None and _SECRET_NAME.search(own):
        yield Problem(at_own, "such a field may hold a secret, and secrets stand in no log")
    elif own is not None and not settings.trusted_proxies:
        yield Problem(at_own, "nobody is believed: name trusted_proxies")
    for index, name in enumerate(settings.log.request_headers):
        at: Path = ("log", "request_headers", index)
        if not is_token(name):
            yield Problem(at, "not the name of a header field (RFC 9110 section 5.6.2)")
        elif _SECRET_NAME.search(name):
            yield Problem(at, "such a field may hold a secret, and secrets stand in no log")


def check_tls(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of the listener's TLS."""
    tls = settings.tls
    if tls is None:
        return
    if (tls.certificate is None) != (tls.key is None):
        yield Problem(
            ("tls", "key" if tls.key is None else "certificate"), "a certificate and its key go together"
        )
    elif tls.certificate is not None and tls.certificates:
        yield Problem(("tls", "certificate"), "there are certificates too: put this one first among them")
    elif not tls.chains:
        yield Problem(("tls",), "name certificates, each with its certificate and key")
    if tls.client_certificates == "none" and tls.client_ca is not None:
        yield Problem(
            ("tls", "client_certificates"), "optional or required, or else no client is asked for one"
        )
    if tls.client_certificates != "none" and tls.client_ca is None:
        yield Problem(("tls", "client_ca"), "required, or else no client's certificate could be verified")
    if tls.hsts is not None:
        yield from _check_hsts(settings, tls.hsts, ("tls", "hsts"))


def _check_hsts(settings: Settings, hsts: HstsSettings, at: Path) -> Iterator[Problem]:
    if hsts.preload and not (hsts.include_subdomains and hsts.max_age >= _PRELOAD_AGE):
        yield Problem((*at, "preload"), "needs include_subdomains and a max_age of at least 365d")
    if not any(url.lower().startswith("https://") for url in settings.public_url):
        yield Problem(at, "no public_url is https, so it would never be sent")


def warn_listener(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed and yet hardly meant."""
    if settings.tls is not None and not any(url.lower().startswith("https:") for url in settings.public_url):
        yield Problem(("tls",), "no public_url is https: cookies are neither Secure nor __Host-")
    used = {route.rate_limit for route in settings.routes if isinstance(route.rate_limit, str)}
    for name in settings.rate_limits:
        if name not in used:
            yield Problem(("rate_limits", name), "no route names this limit")
