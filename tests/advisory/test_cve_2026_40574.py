"""CVE-2026-40574: ``a@evil.com@corp.com`` passed the check of the e-mail domain."""

import pytest

from gateway.core.decision.answers import Forward, Refuse
from gateway.core.reasons import Reason
from tests.support.decisions import ask, compiled, session_cookie

KNOWN = compiled(
    {"path": "/", "require": {"claims": {"hd": "corp.com", "email": ["a@corp.com", "b@corp.com"]}}}
)


@pytest.mark.parametrize(
    "claims",
    [
        {"hd": "corp.com", "email": "a@evil.com@corp.com"},
        {"hd": "corp.com", "email": "a@corp.com@evil.com"},
        {"hd": "corp.com", "email": "a@corp.com\n"},
        {"hd": "corp.com", "email": " a@corp.com"},
        {"hd": "corp.com", "email": "A@corp.com"},
        {"hd": "corp.com", "email": "corp.com"},
        {"hd": "evil.corp.com", "email": "a@corp.com"},
        {"hd": "corp.com.evil.com", "email": "a@corp.com"},
        {"hd": "@corp.com", "email": "a@corp.com"},
        {"email": "a@corp.com"},
    ],
)
def test_values_are_compared_whole(claims: dict):
    """A claim that merely begins, ends or looks like the wanted value is another value."""
    answer = ask(KNOWN, "/", session_cookie(KNOWN, email_verified=True, **claims))
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.CLAIM_MISMATCH


def test_the_very_value_passes():
    """Or the test above would prove nothing."""
    assert isinstance(
        ask(KNOWN, "/", session_cookie(KNOWN, email_verified=True, hd="corp.com", email="b@corp.com")),
        Forward,
    )
