"""Which proxy leads to a provider."""

import pytest

from gateway.edge.providers.proxy import proxied, proxy_for
from gateway.syntax.urls import is_proxy
from tests.support.pure import ISSUER, settings

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def environment(monkeypatch):
    """Set the environment's proxies, and nothing else of them."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", ["http://proxy:3128", "proxy:3128"])
def test_the_environment_counts_by_default(environment, name: str, value: str):
    """[2.13]: as other programs read it, in lower or in upper case, with or without a scheme."""
    environment(**{name: value})
    assert proxy_for("https://login.example.com/token", None) == "http://proxy:3128"
    assert proxy_for("https://login.example.com/token", "none") is None
    assert proxy_for("https://login.example.com/token", "http://own:1") == "http://own:1"


def test_without_an_environment_it_is_direct(environment):
    """[2.13]: an absent or empty variable is none, and each scheme has its own."""
    assert proxy_for("https://login.example.com/", None) is None
    environment(HTTPS_PROXY="", HTTP_PROXY="http://proxy:1")
    assert proxy_for("https://login.example.com/", None) is None
    assert proxy_for("http://login.example.com/", None) == "http://proxy:1"


@pytest.mark.parametrize(
    ("url", "exceptions", "is_direct"),
    [
        ("https://login.example.com/", "login.example.com", True),
        ("https://login.example.com/", "example.com", True),
        ("https://login.example.com/", ".example.com", True),
        ("https://login.example.com/", "other.example, example.com", True),
        ("https://login.example.com/", "*", True),
        ("https://LOGIN.example.com/", "login.EXAMPLE.com", True),
        ("https://login.example.com:8443/", "login.example.com:8443", True),
        ("https://login.example.com:8443/", "login.example.com:443", False),
        ("https://login.example.com/", "in.example.com", False),
        ("https://login.example.com/", "example.co", False),
        ("https://login.example.com/", "", False),
        ("https://10.1.2.3/", "10.1.2.3", True),
        ("https://10.1.2.3/", "10.0.0.0/8", True),
        ("https://10.1.2.3:8443/", "192.168.0.0/16,10.0.0.0/8", True),
        ("https://11.1.2.3/", "10.0.0.0/8", False),
        ("https://[2001:db8::1]/", "2001:db8::/32", True),
        ("https://[2001:db8::1]/", "[2001:db8::1]", True),
        ("https://127.0.0.1/", "127.0.0.1", True),
        ("https://localhost/", "localhost", True),
        ("https://10.1.2.3/", "garbage/99, , //", False),
    ],
)
def test_no_proxy(environment, url: str, exceptions: str, is_direct: bool):
    """[2.13]: hosts with what is below them, ports, addresses and networks are asked directly."""
    environment(HTTPS_PROXY="http://proxy:3128", NO_PROXY=exceptions)
    assert (proxy_for(url, None) is None) is is_direct


@pytest.mark.parametrize("text", ["none", "http://proxy:3128", "https://proxy", "http://u:p@10.0.0.1:1/"])
def test_good_settings(text: str):
    """[2.13]: an http or https URL of a host, or none."""
    assert is_proxy(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy:3128",
        "socks5://proxy:1",
        "http://",
        "http://proxy/path",
        "http://p/?q",
        "None",
        "http://p\n",
    ],
)
def test_bad_settings(text: str):
    """[2.13]: everything else is a configuration error."""
    assert not is_proxy(text)


def test_check_warns_of_the_environment(environment):
    """[2.13]: who had a proxy in the environment is told that it counts now, and how to keep it away."""
    assert not proxied(settings())
    environment(HTTPS_PROXY="http://user:geheim@proxy:3128")
    (warning,) = proxied(settings())
    assert "providers.corporate" in warning
    assert "geheim" not in warning
    corporate = {
        "issuer": ISSUER,
        "client_id": "w",
        "client_secret": "s",
        "audiences": ["a"],
        "proxy": "none",
    }
    assert not proxied(settings(providers={"corporate": corporate}))
