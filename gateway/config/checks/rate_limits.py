"""Checks of rate limits."""

from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.config.settings.root import Settings
from gateway.syntax.tokens import NAME


def check_rate_limits(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of the named rate limits."""
    for name, limit in settings.rate_limits.items():
        at: Path = ("rate_limits", name)
        if NAME.fullmatch(name) is None:
            yield Problem(at, "a rate limit's name has letters, digits, - and _, at most 64")
        yield from judge_rate_limit(limit, at)


# an interval is whole microseconds: beyond this, rounding would be felt
_MOST_PER_SECOND = 10_000


def judge_rate_limit(limit: RateLimitSettings, at: Path) -> Iterator[Problem]:
    """Yield what is wrong with one rate limit."""
    if limit.requests / limit.per > _MOST_PER_SECOND:
        yield Problem((*at, "requests"), f"at most {_MOST_PER_SECOND} a second")
