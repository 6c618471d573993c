"""Checks of the operator's console."""

from collections.abc import Iterator
from typing import Final

from gateway.config.checks.policies import check_section
from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.console import ConsoleSettings
from gateway.config.settings.root import Settings
from gateway.syntax import urls

_AT: Final[Path] = ("admin", "console")


def check_console(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of who may log in to the console, and where."""
    console = settings.admin.console
    if console is None:
        return
    if console.idle_lifetime > console.absolute_lifetime:
        yield Problem((*_AT, "idle_lifetime"), "at most absolute_lifetime")
    if console.url is not None:
        yield from _check_url(settings, console.url)
    if console.provider is None:
        if console.require is not None:
            yield Problem((*_AT, "require"), "is asked of whoever logs in at a provider: name it")
        return
    yield from _check_provider(settings, console, console.provider)


def _check_url(settings: Settings, url: str) -> Iterator[Problem]:
    at = (*_AT, "url")
    if (message := urls.judge_url(url, insecure=False, path=False, query=False)) is not None:
        yield Problem(at, message)
        return
    parts = urls.split_url(url)
    assert parts is not None
    host = (parts.hostname or "").lower()
    if urls.is_public_name(host) and host not in map(str.lower, settings.admin.hosts):
        yield Problem(at, "the admin listener answers this host once admin.hosts names it")


def _check_provider(settings: Settings, console: ConsoleSettings, name: str) -> Iterator[Problem]:
    provider = settings.providers.get(name)
    if provider is None:
        yield Problem((*_AT, "provider"), "no provider has this name in providers")
    elif provider.kind != "oidc" or provider.bearer_only:
        yield Problem(
            (*_AT, "provider"), "operators log in where ID tokens are issued: kind: oidc, not bearer_only"
        )
    if console.url is None:
        yield Problem((*_AT, "url"), "required with provider: it is where browsers come back to")
    if console.require is None:
        yield Problem((*_AT, "require"), "required with provider: a login alone makes nobody an operator")
        return
    yield from check_section(settings, console.require, (*_AT, "require"))
    for setting in ("methods", "networks", "scopes"):
        if getattr(console.require, setting) is not None:
            yield Problem(
                (*_AT, "require", setting), "says nothing of a person: name groups, roles or claims"
            )


def warn_console(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed of the console and hardly meant."""
    console = settings.admin.console
    if console is None:
        return
    if console.provider is None and not any(settings.admin.named()):
        yield Problem(_AT, "nobody can log in: set admin.tokens, or provider with what it requires")
