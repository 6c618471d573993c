"""Settings of sessions and of the denylist."""

from typing import Literal

from gateway.config.settings.base import Duration, Model


class SessionSettings(Model):
    """Browser sessions."""

    mode: Literal["cookie", "redis"] = "cookie"
    """Where sessions and their tokens are kept: sealed in the browser's cookies, or sealed in the store."""
    idle_lifetime: Duration = 8 * 3600.0
    """A session that was not used for so long is over."""
    absolute_lifetime: Duration = 7 * 86400.0
    """A session this old is over, used or not."""
    refresh_before_expiry: Duration = 60.0
    """How long before its expiry an access token is renewed behind a request's back."""
    rotation_grace: Duration = 60.0
    """How long the old refresh token still gets the new result once the new one was seen."""
    login_lifetime: Duration = 600.0
    """How long a person may take at the provider."""
    without_refresh: Duration | None = None
    """How long a session lasts for which no refresh token came; absent: as idle_lifetime."""
    claims_max_age: Duration | None = None
    """The age from which on what a provider told of somebody does not count; absent: as idle_lifetime."""

    index: bool = False
    """Whether the store has a list of the sessions that browsers keep, too; mode redis has one always."""

    @property
    def lists_sessions(self) -> bool:
        """Whether the store can tell who is logged in."""
        return self.index or self.mode == "redis"

    @property
    def lasts_without_refresh(self) -> float:
        """``without_refresh`` in seconds, or what stands in for it; no longer than any session lasts."""
        told = self.idle_lifetime if self.without_refresh is None else self.without_refresh
        return min(told, self.absolute_lifetime)

    @property
    def most_claims_age(self) -> float:
        """``claims_max_age`` in seconds, or what stands in for it."""
        return self.idle_lifetime if self.claims_max_age is None else self.claims_max_age


class DenylistSettings(Model):
    """Pushed revocation."""

    max_staleness: Duration = 10.0
    """The age at which a worker's replica counts as stale."""
    when_stale: Literal["refuse", "allow"] = "refuse"
    """What happens then to requests that need an identity; a route may differ."""
