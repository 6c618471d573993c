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


DOMAINS = compiled(
    {"path": "/domain/", "require": {"email_domains": ["corp.com"]}},
    {"path": "/pattern/", "require": {"claims": {"email": {"matches": "[a-z]+@corp[.]com"}}}},
    {"path": "/others/", "require": {"not": {"email_domains": ["evil.com"]}}},
)
FORGED = (
    "a@evil.com@corp.com",
    '"a@evil.com"@corp.com',
    "a@corp.com@evil.com",
    "a@corp.com.evil.com",
    "a@corp.com\n",
    "a@evil.com\n@corp.com",
    "@corp.com",
    "corp.com",
    "a@corp\u00ad.com",
    "a@corp.c\u043em",
)


@pytest.mark.parametrize("address", FORGED)
@pytest.mark.parametrize("path", ["/domain/", "/pattern/"])
def test_no_address_of_another_domain_passes(path: str, address: str):
    """R80 [11.1]: neither the domain's rule nor a pattern takes a part of an address for all of it."""
    answer = ask(DOMAINS, path, session_cookie(DOMAINS, email=address, email_verified=True))
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.CLAIM_MISMATCH


@pytest.mark.parametrize(
    "address", ['"a@evil.com"@corp.com', "a@evil.com@corp.com", "a@evil.com\n", "@corp.com", "x"]
)
def test_nor_the_rule_that_keeps_a_domain_out(address: str):
    """R80 [11.1]: an address of which nobody knows the domain is none of another domain."""
    answer = ask(DOMAINS, "/others/", session_cookie(DOMAINS, email=address, email_verified=True))
    assert isinstance(answer, Refuse)
    for said in (None, False, "yes", 1):
        answer = ask(DOMAINS, "/others/", session_cookie(DOMAINS, email="a@corp.com", email_verified=said))
        assert isinstance(answer, Refuse)


def test_the_very_domain_passes():
    """Or the tests above would prove nothing."""
    for path in ("/domain/", "/pattern/", "/others/"):
        cookie = session_cookie(DOMAINS, email="bob@corp.com", email_verified=True)
        assert isinstance(ask(DOMAINS, path, cookie), Forward)
