"""Protected resources in the configuration: which URL one is known by, and what cannot be (RFC 9728)."""

from typing import Any

import pytest

from gateway.config.checks.every import check
from gateway.core.decision.answers import Respond
from gateway.core.reasons import Reason
from gateway.core.rules.resources import Resource
from gateway.core.runtime import compile_settings
from tests.support.decisions import ask, compiled
from tests.support.pure import settings


def problems(route: dict[str, Any], *others: dict[str, Any], **changes: Any) -> list[tuple[Any, str]]:
    found = check(settings({"path": "/mcp", "resource": {}, **route}, *others, **changes))
    return [(each.path, each.message) for each in found if each.path[0] == "routes"]


@pytest.mark.parametrize("authorization", ["pass", "access_token"])
def test_a_client_s_token_is_never_passed_on(authorization: str):
    """[11.11] A token that names this resource is for nobody behind it: a configuration error."""
    ((at, message),) = problems({"authorization": authorization})
    assert at == ("routes", 0, "authorization")
    assert message.startswith("with resource:")


@pytest.mark.parametrize(
    ("route", "at"),
    [
        ({"access": "public"}, ("routes", 0, "resource")),
        ({"resource": {"scopes": ["a b"]}}, ("routes", 0, "resource", "scopes", 0)),
        ({"resource": {"scopes": ['"']}}, ("routes", 0, "resource", "scopes", 0)),
        ({"resource": {"documentation": "javascript:x"}}, ("routes", 0, "resource", "documentation")),
        ({"resource": {"identifier": "mcp"}}, ("routes", 0, "resource", "identifier")),
        (
            {"resource": {"identifier": "http://app.example.com/mcp"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://app.example.com/mcp?x"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://app.example.com/mcp#x"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://App.example.com/mcp"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://app.example.com:443/mcp"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://app.example.com/mcp/"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://app.example.com/other"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://app.example.com/mc"}},
            ("routes", 0, "resource", "identifier"),
        ),
        (
            {"resource": {"identifier": "https://elsewhere.example/mcp"}},
            ("routes", 0, "resource", "identifier"),
        ),
        ({"hosts": ["a.example", "b.example"]}, ("routes", 0, "resource", "identifier")),
        ({"path": "/.well-known/oauth-protected-resource/x"}, ("routes", 0, "path")),
    ],
)
def test_what_cannot_be(route: dict[str, Any], at: tuple[Any, ...]):
    """[11.11] Each at the path of its setting."""
    assert at in [path for path, _ in problems(route)]


@pytest.mark.parametrize(
    ("host", "hosts", "is_one"),
    [
        ("tools.apps.example.com", None, True),
        ("login.example.com", None, True),
        ("a.tools.apps.example.com", None, False),
        ("apps.example.com", None, False),
        ("tools.apps.example.com:8443", None, False),
        ("tools.apps.example.com", ["*.apps.example.com"], True),
        ("tools.apps.example.com:8443", ["*.apps.example.com"], True),
        ("tools.apps.example.com", ["other.apps.example.com"], False),
        ("tools.apps.example.com", ["tools.apps.example.com:8443"], False),
        ("tools.apps.example.com", ["tools.apps.example.com:443"], True),
    ],
)
def test_a_resource_of_one_site_of_many(host: str, hosts: list[str] | None, is_one: bool):
    """[11.2, 11.11] Under a wildcard it has to say which host it is at, and that is one of the route's."""
    sites = {"public_url": ["https://*.apps.example.com"], "login_host": "https://login.example.com"}
    at = ("routes", 0, "resource", "identifier")
    assert at in [path for path, _ in problems({}, **sites)]
    route = {"resource": {"identifier": f"https://{host}/mcp"}, "hosts": hosts}
    assert (at not in [path for path, _ in problems(route, **sites)]) is is_one


def test_two_routes_of_one_resource():
    """[11.11] They may differ in what they ask for, and not in what is published."""
    one = {"identifier": "https://app.example.com/mcp", "scopes": ["a"]}
    other = {"path": "/mcp/admin", "resource": one}
    assert not problems({"resource": one}, other)
    (found,) = problems({"resource": one}, {**other, "resource": {**one, "scopes": ["b"]}})
    assert found[0] == ("routes", 1, "resource")


def resource_of(*routes: dict[str, Any], **changes: Any) -> Resource:
    found = compile_settings(settings(*routes, **changes)).routes.routes[0].resource
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("route", "identifier", "metadata"),
    [
        ({"path": "/"}, "", "/.well-known/oauth-protected-resource"),
        ({"path": "/mcp"}, "/mcp", "/.well-known/oauth-protected-resource/mcp"),
        ({"path": "/mcp/"}, "/mcp", "/.well-known/oauth-protected-resource/mcp"),
        ({"path": "/a/b"}, "/a/b", "/.well-known/oauth-protected-resource/a/b"),
        (
            {"path": "/a/b", "resource": {"identifier": "https://app.example.com/a"}},
            "/a",
            "/.well-known/oauth-protected-resource/a",
        ),
    ],
)
def test_the_url_of_a_resource(route: dict[str, Any], identifier: str, metadata: str):
    """[11.11] RFC 9728 section 3.1: the well-known path goes between the host and its path."""
    known = compiled({"resource": {}, **route})
    found = resource_of({"resource": {}, **route})
    assert found.identifier == f"https://app.example.com{identifier}"
    assert found.metadata_url == f"https://app.example.com{metadata}"
    for host in (b"app.example.com", b"app.example.com:443"):
        answer = ask(known, metadata, host=host)
        assert isinstance(answer, Respond)
        assert answer.reason is Reason.METADATA_PUBLISHED
        assert answer.json is not None
        assert answer.json["resource"] == found.identifier


def test_what_is_said_of_bound_tokens():
    """[11.7, 11.11] RFC 9728 section 2: which of them have to be bound, and how."""
    dpop = resource_of({"path": "/mcp", "resource": {}, "bound_tokens": "dpop"})
    assert dpop.document["dpop_bound_access_tokens_required"] is True
    assert "tls_client_certificate_bound_access_tokens" not in dpop.document
    mtls = resource_of(
        {"path": "/mcp", "resource": {}, "bound_tokens": "mtls"},
        trusted_proxies=["10.0.0.1/32"],
        forwarding={"client_certificate": "Client-Cert"},
    )
    assert mtls.document["tls_client_certificate_bound_access_tokens"] is True


def test_which_providers_issue_its_tokens():
    """[11.11] Those that come in there, and no other."""
    one = {"issuer": "https://one.example", "client_id": "a", "client_secret": "s", "audiences": ["a"]}
    two = one | {"issuer": "https://two.example"}
    both = {"providers": {"one": one, "two": two}}
    assert resource_of({"path": "/mcp", "resource": {}}, **both).document["authorization_servers"] == [
        "https://one.example",
        "https://two.example",
    ]
    only = resource_of({"path": "/mcp", "resource": {}, "provider": "two"}, **both)
    assert only.document["authorization_servers"] == ["https://two.example"]
