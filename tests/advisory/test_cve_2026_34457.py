"""CVE-2026-34457: the User-Agent of a health checker skipped authentication."""

import pytest

from gateway.core.decision.answers import Refuse
from gateway.core.reasons import Reason
from tests.support.decisions import ask, compiled


@pytest.mark.parametrize(
    "agent", [b"GoogleHC/1.0", b"kube-probe/1.30", b"ELB-HealthChecker/2.0", b"gateway", b""]
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/ping", "/ready"])
def test_a_user_agent_is_no_credential(agent: bytes, path: str):
    """No agent and no habitual path opens anything."""
    answer = ask(compiled(), path, (b"User-Agent", agent))
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.CREDENTIALS_MISSING
