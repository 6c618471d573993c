"""Paths that applications need as they came."""

from typing import Any

import pytest

from gateway.cli.explain import explain
from gateway.core.decision.answers import Forward, Login, Refuse
from gateway.core.reasons import Reason
from gateway.core.rules.routes import compile_routes
from gateway.core.runtime import problems as check
from gateway.edge.rendering.render import render_refuse
from tests.support.decisions import ask, compiled
from tests.support.pure import settings

REPO = {"path": "/repo/", "access": "public", "raw_path": True}

RAW = [
    "/repo/group%2Fproject",
    "/repo/@scope%2fname",
    "/repo/queues/%2F/inbox",
    "/repo/report%2520final.pdf",
    "/repo/bucket//a/./b",
    "/repo/bucket/a//",
    "/repo/C:%5CUsers",
    "/repo/;jsessionid=1",
    "/repo/x;jsessionid=1/%7Euser/caf%c3%a9",
    "/repo/a?b=/../c",
    "/repo/100%25?%",
]

REFUSED = [
    "/repo/..",
    "/repo/....//admin",
    "/repo/..././admin",
    "/repo/....%5c%5cadmin",
    "/repo/../admin",
    "/repo/%2e%2e/admin",
    "/repo/.%2E%2fadmin",
    "/repo/..;/admin",
    "/repo/..;x=1/admin",
    "/repo/..%3b/admin",
    "/repo/%252e%252e/admin",
    "/repo/%25252e%25252e/admin",
    "/repo/a%5c..%5cadmin",
    "/repo/..%23",
    "/repo/..%3Fx",
    "/repo/..%20/admin",
    "/repo/%c0%ae%c0%ae/admin",
    "/repo/%EF%BC%8E%EF%BC%8E/admin",
    "/repo/%252525252525252525252e",
    "/repo/a%00b",
    "/repo/a%2500b",
    "/repo/a%0d%0aX:y",
    "/repo/%",
    "/repo/%u002e%2f",
    "/repo/a\\b",
    "/repo/{a}%2f",
    "/repo%2Fx",
    "/%72epo/a%2fb",
    "/REPO/a%2fb",
    "//repo/x",
    "/./repo/a%2fb",
    "/.gateway%2Flogin",
]


@pytest.mark.parametrize("target", RAW)
def test_r79_a_raw_path_goes_on_as_it_came(target: str):
    """R79 [3.3]: what GitLab, npm, RabbitMQ, S3 and servlets need is forwarded byte for byte."""
    answer = ask(compiled(REPO, {"path": "/", "access": "public"}), target)
    assert isinstance(answer, Forward)
    assert answer.target == target.encode()
    assert answer.route.name == "/repo/"


@pytest.mark.parametrize("target", REFUSED)
def test_r79_what_may_lead_elsewhere_stays_refused(target: str):
    """R79 [3.3]: ``..`` in any spelling, and whatever does not begin with the route's own path."""
    answer = ask(compiled(REPO, {"path": "/", "access": "public"}), target)
    assert isinstance(answer, Refuse)
    assert answer.reason in (Reason.PATH_AMBIGUOUS, Reason.ROUTE_UNKNOWN)


@pytest.mark.parametrize(
    "target", ["//evil.test/", "/%2Fevil.test", "/%5cevil.test", "/.//evil.test", "/;//evil.test", "/%252Fx"]
)
def test_r79_no_authority_at_the_beginning(target: str):
    """R79 [3.3]: frameworks redirect to what they took for the path, and browsers would read a host in it."""
    assert isinstance(ask(compiled({**REPO, "path": "/"}), target), Refuse)


@pytest.mark.parametrize(
    ("routes", "at"),
    [
        ([REPO, {"path": "/repo/admin"}], "routes[0].raw_path"),
        ([{"path": "/REPO/Admin/"}, REPO], "routes[1].raw_path"),
        ([REPO, {"path": "/Repo"}], "routes[0].raw_path"),
        ([REPO, {"path": "/repo/x", "hosts": ["other.example.com"]}], "routes[0].raw_path"),
        (
            [{**REPO, "hosts": ["*.example.com"]}, {"path": "/repo/x", "hosts": ["a.example.com:81"]}],
            "routes[0].raw_path",
        ),
        ([REPO, {"path": "/repo/x", "methods": ["POST"]}], "routes[0].raw_path"),
        ([{**REPO, "strip_prefix": True}], "routes[0].raw_path"),
        ([{**REPO, "replace_prefix": "/v2"}], "routes[0].raw_path"),
        ([{**REPO, "path": "/"}, {"path": "/x"}], "routes[0].raw_path"),
        ([REPO, {"path": "/"}, {"path": "/repository"}], None),
        ([{**REPO, "hosts": ["a.example.com"]}, {"path": "/repo/x", "hosts": ["b.example.com"]}], None),
        ([{**REPO, "hosts": ["a.example.com:81"]}, {"path": "/repo/x", "hosts": ["a.example.com:82"]}], None),
        ([{**REPO, "hosts": ["*.example.com"]}, {"path": "/repo/x", "hosts": ["a.b.example.com"]}], None),
        ([REPO, {"path": "/repo", "methods": ["POST"]}], None),
    ],
)
def test_r79_no_other_rule_below(routes: list[dict[str, Any]], at: str | None):
    """R79 [3.3]: a route that may be meant by what is below is an error that names it."""
    configured = settings(*routes)
    found = [each for each in check(configured) if "raw_path" in str(each)]
    assert bool(found) == (at is not None)
    if at is None:
        compile_routes(configured)
        return
    assert at in str(found[0])
    with pytest.raises(ValueError, match="raw_path"):
        compile_routes(configured)


def test_r79_methods_in_fields_choose_by_the_same_reading():
    """R79 [3.3]: a method that a field names leads a raw path to the rule of that method, or nowhere."""
    known = compiled({**REPO, "methods": ["GET"]}, {"path": "/repo", "name": "writes"})
    answer = ask(known, "/repo/a%2fb", (b"X-HTTP-Method-Override", b"DELETE"))
    assert isinstance(answer, Refuse)
    assert isinstance(ask(known, "/repo/a%2fb", method=b"POST"), Refuse)
    assert isinstance(ask(known, "/repo/a%2fb"), Forward)


def test_r79_a_login_leads_back_to_a_raw_path():
    """R79 [3.3]: the page that was wanted is the very one."""
    known = compiled({"path": "/repo/", "raw_path": True}, {"path": "/", "access": "public"})
    answer = ask(known, "/repo/a%2Fb//c?d=%2F", (b"Accept", b"text/html"))
    assert isinstance(answer, Login)
    assert answer.return_to == "/repo/a%2Fb//c?d=%2F"


def test_r79_the_setting_is_named():
    """[3.3]: the 400's page and ``gateway explain`` name the setting where it could help, and only there."""
    known = compiled({"path": "/", "access": "public"})
    answer = ask(known, "/a%2Fb", (b"Accept", b"text/html"))
    assert isinstance(answer, Refuse)
    assert b"raw_path" in render_refuse(answer, "id")[2]
    told = explain(settings({"path": "/", "access": "public"}), "/a%2Fb", "GET", ())
    assert any("raw_path" in line for line in told)
    answer = ask(known, "/a/../b", (b"Accept", b"text/html"))
    assert isinstance(answer, Refuse)
    assert b"raw_path" not in render_refuse(answer, "id")[2]
