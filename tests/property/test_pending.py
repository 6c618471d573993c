"""However many logins a browser has begun, and whatever it holds, they stay few and small."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import session as codec
from gateway.core.answers import Login
from gateway.core.cookies import set_cookie_lines
from gateway.core.model import Header
from gateway.core.pending import MOST_BYTES, MOST_PENDING, state_cookie_name
from gateway.core.seal import sealed_length
from tests.support.decisions import ask, compiled
from tests.support.pure import NOW, PREFIX

KNOWN = compiled()
START = f"{PREFIX}login-"
AGES_AND_SIZES = st.lists(st.tuples(st.integers(0, 599), st.integers(1, 2048)), max_size=30)
GARBAGE = st.lists(st.text("abcXYZ-_~", min_size=1, max_size=40), max_size=4)


def sealed(age: int, size: int) -> tuple[str, str]:
    """Return name and value of the cookie of a login for a page of so many characters."""
    begun = codec.begin_pending(os.urandom(32), "corporate", "/" + "x" * (size - 1), NOW - age, "")
    value = KNOWN.ring.seal("login https://app.example.com", codec.encode_pending(begun), os.urandom(12))
    return state_cookie_name(START, begun.state), value


@given(AGES_AND_SIZES, GARBAGE, st.integers(1, 9000))
@settings(deadline=None)
def test_r17_pending_logins_are_few_and_small(begun: list[tuple[int, int]], garbage: list[str], length: int):
    """R17 [2.21]: at most 20 in 4 KiB once another begins, never a younger one gone before an older."""
    held = {name: (age, value) for age, size in begun for name, value in [sealed(age, size)]}
    held |= {f"{START}{index}": (10**6, value) for index, value in enumerate(garbage)}
    cookies = "; ".join(f"{name}={value}" for name, (_, value) in held.items())
    headers: list[Header] = [(b"Accept", b"text/html")]
    if cookies:
        headers.append((b"Cookie", cookies.encode()))
    login = ask(KNOWN, "/" + "y" * (length - 1), *headers)
    assert isinstance(login, Login)
    gone = {change.name for change in login.cookies if change.plain is None and change.value is None}
    left = {name: each for name, each in held.items() if name not in gone}
    page = login.return_to if len(login.return_to) <= 2048 else "@" + "x" * 22
    coming = codec.begin_pending(bytes(32), "corporate", page, NOW, "", login.position)
    size = len(START) + 16 + 3 + sealed_length(len(codec.encode_pending(coming)))
    total = size + sum(len(name) + 3 + len(value) for name, (_, value) in left.items())
    assert len(left) + 1 <= MOST_PENDING
    assert not left or total <= MOST_BYTES
    if gone and left:
        assert max(age for age, _ in left.values()) <= min(held[name][0] for name in gone)
    for change in login.cookies:
        for line in set_cookie_lines(change, change.plain):
            assert len(line) <= 4096
