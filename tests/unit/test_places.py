"""Where plain paths lead is known of directories alone that are one route's, however they are read (R56)."""

from typing import Any

import pytest

from gateway.core.decide import decide
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.rules.denylist import Denylist
from gateway.core.runtime import RuntimeConfig
from gateway.http.messages.request_head import read_request_head
from tests.support.decisions import compiled
from tests.support.pure import HOST, NOW

ROUTES: tuple[dict[str, Any], ...] = (
    {"path": "/docs/", "access": "public"},
    {"path": "/divided/", "access": "public"},
    {"path": "/divided/closed/"},
    {"path": "/folded/", "access": "public"},
    {"path": "/FOLDED/closed/"},
    {"path": "/exactly", "access": "public"},
    {"path": "/raw/", "access": "public", "raw_path": True},
    {"path": "/", "access": "public"},
)


def ask(known: RuntimeConfig, target: bytes, method: bytes = b"GET", host: bytes = HOST) -> Any:
    """Decide one request."""
    head = b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (method, target, host)
    request, _ = read_request_head(head, known.rules.request_lines)
    denylist = Denylist()
    denylist.synchronised_at = NOW
    knowledge = Knowledge(known, {}, denylist, Memory(), lambda _: None, lambda _: False)
    return decide(request, knowledge, NOW, "request-1")


def learned(known: RuntimeConfig) -> set[tuple[bytes, bytes, bytes]]:
    """Return what is known by now."""
    return {*known.places._known.young, *known.places._known._old}


def test_a_directory_is_learned_with_its_first_request():
    """R56 [10.hold.1]: by host, method and first segment; what is below it goes to its route from then on."""
    known = compiled(*ROUTES)
    first = ask(known, b"/docs/a/b?c=d")
    assert learned(known) == {(HOST, b"GET", b"/docs/")}
    second = ask(known, b"/docs/x")
    assert second.route is first.route
    assert second.target == b"/docs/x"
    assert len(learned(known)) == 1
    ask(known, b"/docs/x", b"HEAD")
    ask(known, b"/other/x")
    assert learned(known) == {
        (HOST, b"GET", b"/docs/"),
        (HOST, b"HEAD", b"/docs/"),
        (HOST, b"GET", b"/other/"),
    }


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/docs",
        b"/divided/x",
        b"/divided/closed/x",
        b"/folded/x",
        b"/Folded/x",
        b"/raw/x",
        b"/.gateway/",
        b"/.gateway/x",
        b"/.GATEWAY/x",
        b"/.Gateway/userinfo",
        b"/docs/%3b",
        b"/docs;x/y",
        b"/docs/x;y",
        b"/docs/./x",
        b"/docs/../x",
        b"/docs/..%2fx",
        b"//docs/x",
        b"/docs//x",
        b"/" + b"x" * 70 + b"/y",
        b"*",
    ],
)
def test_what_is_never_learned(target: bytes):
    """R56 [10.hold.1]: divided directories, raw paths, our own in any reading, and what has two."""
    known = compiled(*ROUTES)
    for method in (b"GET", b"OPTIONS"):
        if target != b"*" or method == b"OPTIONS":
            ask(known, target, method)
    assert not learned(known)


def test_options_is_judged_each_time():
    """A preflight is told by more than its path."""
    known = compiled(*ROUTES)
    ask(known, b"/docs/x", b"OPTIONS")
    assert not learned(known)


def test_where_methods_divide_nothing_is_learned():
    """Fields may name another method than the request line; so every request is located."""
    known = compiled(*ROUTES[:-1], {"path": "/", "methods": ["GET"], "access": "public"}, {"path": "/"})
    for target in (b"/docs/x", b"/other/x"):
        ask(known, target)
    assert not learned(known)


def test_hosts_are_told_apart():
    """R55, R56 [10.hold.1]: what is one site's directory is another route's elsewhere."""
    known = compiled(
        {"path": "/docs/", "access": "public", "hosts": ["app.example.com"]},
        {"path": "/"},
        public_url=["https://app.example.com", "https://other.example.com"],
    )
    for _ in range(2):
        assert ask(known, b"/docs/x").route.access == "public"
        assert ask(known, b"/docs/x", host=b"other.example.com").route.access == "required"
        assert str(ask(known, b"/docs/x", host=b"nobody.example.com").reason) == "host_unknown"
    assert {host for host, _, _ in learned(known)} == {b"app.example.com", b"other.example.com"}


def test_nothing_ambiguous_is_looked_up():
    """R56 [10.hold.1]: below a directory that is known, too."""
    known = compiled(*ROUTES)
    ask(known, b"/docs/x")
    for target in (b"/docs//x", b"/docs/..%2fx", b"/docs/%2e%2e/x", b"/docs/.%2e/x", b"/docs/../x"):
        answer = ask(known, target)
        assert str(answer.reason) == "path_ambiguous", target


def test_they_are_bounded():
    """[10.hold.3]: once-only directories displace none that is in use."""
    known = compiled(*ROUTES)
    ask(known, b"/docs/x")
    for number in range(10_000):
        ask(known, b"/d%d/x" % number)
        if number % 100 == 0:
            ask(known, b"/docs/x")
    assert len(known.places._known) <= 4096
    assert (HOST, b"GET", b"/docs/") in learned(known)
