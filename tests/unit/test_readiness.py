"""What makes a process ready, as a table."""

import pytest

from gateway.core.rules.denylist import Denylist
from gateway.edge.admin.readiness import judge
from tests.support.pure import settings

NOW = 1_800_000_000.0
PUBLIC = {"path": "/open/", "upstream": "app", "access": "public"}
REQUIRED = {"path": "/", "upstream": "app", "access": "required"}
ALLOWED = REQUIRED | {"path": "/also/", "when_stale": "allow"}
AWAY = "the store does not answer"


@pytest.mark.parametrize(
    ("routes", "age", "trouble", "ready", "troubles"),
    [
        ([REQUIRED], 0, None, True, set()),
        ([REQUIRED], 0, AWAY, True, {"store"}),
        ([REQUIRED], 9, AWAY, True, {"store"}),
        ([REQUIRED], 11, AWAY, False, {"store"}),
        ([REQUIRED, PUBLIC], 11, AWAY, True, {"store", "denylist"}),
        ([REQUIRED, ALLOWED], 11, AWAY, True, {"store", "denylist"}),
        ([REQUIRED | {"access": "optional"}], 11, None, True, {"denylist"}),
        ([REQUIRED | {"access": "optional"}], None, None, False, set()),
        ([REQUIRED], None, AWAY, False, {"store"}),
        ([REQUIRED, PUBLIC], None, None, False, set()),
        ([PUBLIC], None, AWAY, True, {"store"}),
        ([ALLOWED], None, AWAY, True, {"store"}),
    ],
)
def test_ready_is_who_would_serve(routes, age, trouble, ready, troubles):
    """R87 [4.2]: the store's trouble takes nobody out; a replica does where nothing would be served."""
    denylist = Denylist()
    denylist.synchronised_at = None if age is None else NOW - age
    readiness = judge(settings(*routes), denylist, trouble, NOW)
    assert readiness.is_ready is ready
    assert readiness.troubles.keys() == troubles
    assert readiness.to_json()["status"] == ("ready" if ready else "unready")
