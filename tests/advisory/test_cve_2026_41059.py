"""CVE-2026-41059, CVE-2026-33494: the path decided on was not the path that the upstream served."""

import pytest

from gateway.core.decision.answers import Forward, Refuse
from gateway.core.reasons import Reason
from tests.support.decisions import ask, compiled, session_cookie

OPEN = compiled({"path": "/", "access": "public"}, {"path": "/admin/", "require": {"groups": ["admins"]}})


@pytest.mark.parametrize(
    "target",
    [
        "/x/../admin/",
        "/x/%2e%2e/admin/",
        "/x/..%2fadmin/",
        "/x%2f..%2fadmin",
        "//admin/",
        "/./admin/",
        "/x/..;/admin/",
        "/x\\..\\admin",
        "/x/..%5cadmin",
        "/admin#/../x",
        "/x#/admin",
        "/x/%252e%252e/admin/",
        "/%2561dmin/",
        "/x/%c0%ae%c0%ae/admin/",
        "/;/admin/",
    ],
)
def test_what_leads_to_admin_by_any_reading_is_ambiguous(target: str):
    """R56: refused with 400, not resolved."""
    answer = ask(OPEN, target)
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.PATH_AMBIGUOUS


@pytest.mark.parametrize(
    "target",
    ["/admin%23x", "/admin%23/x", "/admin%3Fx", "/admin;x", "/admin;x=1/y", "/admin%3bx/y", "/ADMIN/"],
)
def test_what_a_lax_upstream_reads_as_admin_is_not_public(target: str):
    """R56: the public route for everything else does not cover it."""
    assert isinstance(ask(OPEN, target), Refuse)


@pytest.mark.parametrize("target", ["/%61dmin/", "/%41dmin/", "/admin/%70", "/admin", "/admin?x"])
def test_encoded_letters_are_letters(target: str):
    """R56: an escape of an unreserved character is that character, for the rule as for the upstream."""
    assert isinstance(ask(OPEN, target), Refuse)


def test_the_path_decided_on_is_the_path_forwarded():
    """R56: in its one normal form, with the query as it came."""
    answer = ask(OPEN, "/admi%6E/caf%c3%a9;v=1?q=%2e%2e/", session_cookie(OPEN, groups=["admins"]))
    assert isinstance(answer, Forward)
    assert answer.route.name == "/admin/"
    assert answer.target == b"/admin/caf%C3%A9;v=1?q=%2e%2e/"
