"""Where a login goes where there are several providers: by route, by host, by choice; and who is left out."""

from typing import Any

import pytest

from gateway.config.checks.every import check, warn
from gateway.core.decision.answers import Login, Refuse, Respond
from gateway.core.reasons import Reason
from gateway.core.runtime import RuntimeConfig, compile_settings
from tests.support.decisions import ask
from tests.support.pure import settings

PAGE = (b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate")
HOSTS = ["https://staff.example.com", "https://partners.example.com", "https://www.example.com"]


def provider(name: str, **more: Any) -> dict[str, Any]:
    """Return the section of a provider."""
    return {
        "issuer": f"https://{name}.example.net",
        "client_id": "w",
        "client_secret": "s",
        "audiences": ["a"],
        **more,
    }


PROVIDERS = {
    "machines": {"issuer": "https://m.example.net", "audiences": ["a"], "bearer_only": True},
    "staff": provider("staff"),
    "partners": provider("partners"),
}
ROUTES = (
    {"path": "/", "hosts": ["staff.example.com"], "provider": "staff"},
    {"path": "/", "hosts": ["partners.example.com"], "providers": ["partners", "machines"]},
    {"path": "/api/", "providers": ["machines"]},
    {"path": "/"},
)


def known(**changes: Any) -> RuntimeConfig:
    """Return the compiled settings of three sites."""
    return compile_settings(settings(*ROUTES, public_url=HOSTS, providers=PROVIDERS, **changes))


@pytest.mark.parametrize(
    ("host", "name"),
    [(b"staff.example.com", "staff"), (b"partners.example.com", "partners"), (b"www.example.com", "staff")],
)
@pytest.mark.parametrize("path", ["/x", "/.gateway/login", "/.gateway/login?return_to=/x"])
def test_each_host_has_its_own(host: bytes, name: str, path: str) -> None:
    """R70 [11.4]: also where the login is asked for by its own endpoint; the default is one with logins."""
    answer = ask(known(), path, *PAGE, host=host)
    assert isinstance(answer, Login)
    assert answer.provider == name
    assert answer.redirect_uri.startswith(f"https://{host.decode()}/.gateway/callback")


def test_a_choice_is_offered_only_where_there_is_one() -> None:
    """R70 [11.4]: not on a host that has one provider, nor of those that have no logins."""
    chosen = known(choose_provider=True)
    for host, name in ((b"staff.example.com", "staff"), (b"partners.example.com", "partners")):
        answer = ask(chosen, "/x", *PAGE, host=host)
        assert isinstance(answer, Login)
        assert answer.provider == name
    answer = ask(chosen, "/.gateway/login", *PAGE, host=b"www.example.com")
    assert isinstance(answer, Respond)
    assert [label for label, _ in answer.choices] == ["staff", "partners"]
    refused = ask(chosen, "/api/x", *PAGE, host=b"www.example.com")
    assert isinstance(refused, Refuse)
    assert refused.login_url is None


def test_without_anybody_to_log_in_at() -> None:
    """R70 [11.4]: with bearer tokens alone nothing begins a login, and nothing fails for want of one."""
    only = compile_settings(settings({"path": "/"}, providers={"machines": PROVIDERS["machines"]}))
    answer = ask(only, "/x", *PAGE)
    assert isinstance(answer, Refuse)
    assert (answer.reason, answer.login_url) == (Reason.CREDENTIALS_MISSING, None)
    for path in ("/.gateway/login", "/.gateway/login?provider=machines", "/.gateway/callback?state=x&code=y"):
        answer = ask(only, path, *PAGE)
        assert isinstance(answer, Refuse), path
        assert answer.reason in (Reason.REQUEST_MALFORMED, Reason.LOGIN_STATE_UNKNOWN), path


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"providers": {"m": PROVIDERS["machines"] | {"callback": "/.gateway/x"}}}, "providers.m.callback"),
        ({"providers": {"m": PROVIDERS["machines"] | {"label": "M"}}}, "providers.m.label"),
        ({"providers": {"s": provider("s", client_id="")}}, "providers.s.client_id"),
        ({"providers": {"s": provider("s", audiences=None)}}, "providers.s.audiences"),
        ({"providers": {"s": provider("s", subject="id")}}, "providers.s.subject"),
        ({"providers": {"s": provider("s", graph_url="ftp://x")}}, "providers.s.graph_url"),
        ({"choose_provider": True}, "choose_provider"),
        (
            {
                "choose_provider": True,
                "providers": {"a": provider("a", label="Us"), "b": provider("b", label="Us")},
            },
            "providers.b.label",
        ),
        ({"choose_provider": True, "providers": {"a": provider("a", label="x" * 65)}}, "providers.a.label"),
    ],
)
def test_what_is_said_of_a_configuration(changes: dict[str, Any], where: str) -> None:
    """[11.4]: each contradiction stands at its setting."""
    if changes.get("providers", {}).get("s", {}).get("client_id") == "":
        del changes["providers"]["s"]["client_id"]
    if "audiences" in (section := changes.get("providers", {}).get("s", {})) and section["audiences"] is None:
        del section["audiences"]
    found = [".".join(map(str, each.path)) for each in check(settings({"path": "/"}, **changes))]
    assert where in found


def test_risks_are_warned_of() -> None:
    """R24 [11.4]: tokens without an audience, and what GitHub's documentation knows nothing of."""
    providers = {
        "pool": provider("pool", clients_without_aud=["c"]),
        "github": {
            "kind": "oauth2",
            "preset": "github",
            "issuer": "https://github.com",
            "client_id": "c",
            "client_secret": "s",
            "callback": "/.gateway/callback/github",
        },
    }
    found = [".".join(map(str, each.path)) for each in warn(settings({"path": "/"}, providers=providers))]
    assert "providers.pool.clients_without_aud" in found
    assert "providers.github.client_auth" in found


@pytest.mark.parametrize(
    "route", [{"provider": "machines"}, {"unauthenticated": "login", "providers": ["machines"]}]
)
def test_routes_that_would_send_people_nowhere(route: dict[str, Any]) -> None:
    """R70 [11.4]: a route's login has somewhere to go."""
    found = check(settings({"path": "/", **route}, providers=PROVIDERS))
    assert any(each.path[0] == "routes" for each in found)
