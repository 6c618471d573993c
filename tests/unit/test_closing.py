"""What was started is closed, the last first, whatever one of them says to it."""

import pytest

from gateway.app.closing import Closing
from gateway.core.fault import Fault
from gateway.core.reasons import Reason

pytestmark = pytest.mark.asyncio


async def test_the_last_is_closed_first_and_each_once():
    """One that fails for want of its store keeps none of the others from being closed."""
    closing, closed = Closing(), []

    def step(name: str, error: Exception | None = None):
        async def close() -> None:
            closed.append(name)
            if error is not None:
                raise error

        return close

    closing.later(step("store"))
    closing.later(step("sessions", Fault("store", Reason.STORE_UNAVAILABLE)))
    closing.later(step("server", OSError()))
    await closing.close()
    assert closed == ["server", "sessions", "store"]
    await closing.close()
    assert len(closed) == 3
