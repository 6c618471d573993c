"""Settings of the operator's console."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.settings.base import Model, Text, as_duration
from gateway.config.settings.policies import Require


class ConsoleSettings(Model):
    """The operator's console on the admin listener, under ``/console/``; absent: there is none."""

    url: Text | None = None
    """The origin where operators' browsers find the admin listener; required for ``provider``."""
    provider: Text | None = None
    """The provider where operators log in; absent: they log in with an admin token alone."""
    require: Require | None = None
    """What an operator must hold; required with ``provider``: a login alone makes nobody an operator."""
    role: Literal["read", "revoke", "all"] = "read"
    """What those may do who log in at the provider: look; end sessions and tokens as well; everything."""
    idle_lifetime: Annotated[float, Field(gt=0, le=8 * 3600), as_duration] = 15 * 60.0
    """How long an operator's session may go unused; a page that refreshes itself is no use."""
    absolute_lifetime: Annotated[float, Field(gt=0, le=24 * 3600), as_duration] = 8 * 3600.0
    """How long an operator's session lasts at most."""
