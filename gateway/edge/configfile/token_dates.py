"""When the admin listener's tokens end: told at the start and by ``gateway check``.

An expired one is no reason not to start: nobody gets in with it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from gateway.config.checks.problems import Problem
from gateway.config.settings.root import Settings
from gateway.syntax.dates import read_date

_SOON: Final = 14 * 86400.0


def warn_token_dates(settings: Settings, now: float) -> Iterator[Problem]:
    """Yield which tokens are expired at ``now`` (epoch seconds), or will be within 14 days."""
    for name, each in settings.admin.tokens.items():
        ends = None if each.expires is None else read_date(each.expires)
        if ends is None or ends > now + _SOON:
            continue
        when = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%d %H:%M UTC")
        what = f"expired on {when}: it is refused" if ends <= now else f"expires on {when}: renew it"
        yield Problem(("admin", "tokens", name, "expires"), f"this token {what}")
