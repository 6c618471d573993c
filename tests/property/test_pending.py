"""However many logins a browser has begun, and whatever it holds, they stay few and small."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.access.pending import MOST_BYTES, MOST_PENDING, state_cookie_name
from gateway.core.decision.answers import Login
from gateway.core.headers.cookies import set_cookie_lines
from gateway.core.headers.request import Header
from gateway.core.sessions.pending import begin_pending, encode_pending
from gateway.core.sessions.seal import sealed_length
from tests.support.decisions import ask, compiled
from tests.support.pure import NOW, PREFIX

KNOWN = compiled()
START = f"{PREFIX}login-"
AGES_AND_SIZES = st.lists(st.tuples(st.integers(0, 599), st.integers(1, 2048)), max_size=30)
GARBAGE = st.lists(st.text("abcXYZ-_~", min_size=1, max_size=40), max_size=4)


def sealed(age: int, size: int, *, is_repeated: bool = False, code: int = 0) -> tuple[str, str]:
    """Return name and value of the cookie of a login for a page of so many characters, answered or not."""
    answer = ("c" * code, "", "") if code else None
    begun = begin_pending(
        os.urandom(32),
        "corporate",
        "/" + "x" * (size - 1),
        NOW - age,
        "",
        is_repeated=is_repeated,
        answer=answer,
    )
    value = KNOWN.ring.seal("login https://app.example.com", encode_pending(begun), os.urandom(12))
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
    cleared = {change.name for change in login.cookies if change.plain is None and change.value is None}
    # the marks of those that had to go have a cookie of their own, which may be cleared beside them
    gone = cleared & held.keys()
    left = {name: each for name, each in held.items() if name not in gone}
    page = login.return_to if len(login.return_to) <= 2048 else "@" + "x" * 22
    coming = begin_pending(bytes(32), "corporate", page, NOW, "", login.position)
    size = len(START) + 16 + 3 + sealed_length(len(encode_pending(coming)))
    total = size + sum(len(name) + 3 + len(value) for name, (_, value) in left.items())
    assert len(left) + 1 <= MOST_PENDING
    assert not left or total <= MOST_BYTES
    if gone and left:
        assert max(age for age, _ in left.values()) <= min(held[name][0] for name in gone)
    for change in login.cookies:
        for line in set_cookie_lines(change, change.plain):
            assert len(line) <= 4096


@given(st.lists(st.tuples(st.integers(0, 599), st.booleans(), st.sampled_from([0, 9, 4000])), max_size=30))
@settings(deadline=None)
def test_r17_a_login_that_begins_again_evicts_none_that_did(begun: list[tuple[int, bool, int]]):
    """R17 [2.21]: it takes the place of the newest that did not; the cookies of one login go together."""
    held = {
        name: (age, is_repeated, [value[at : at + 3900] for at in range(0, len(value), 3900)])
        for age, is_repeated, code in begun
        for name, value in [sealed(age, 9, is_repeated=is_repeated, code=code)]
    }
    cookies: dict[str, str] = {}
    for name, (_, _, parts) in held.items():
        if len(parts) > 1:
            parts[0] = f"{len(parts)}~{parts[0]}"
        cookies |= {f"{name}-{index}" if index else name: part for index, part in enumerate(parts)}
    evicted = state_cookie_name("", "state-that-came-back")[:8]
    cookies[f"{PREFIX}evicted"] = f"{evicted}.abcdefgh"
    field = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()
    login = ask(KNOWN, "/.gateway/callback?state=state-that-came-back&code=x", (b"Cookie", field))
    assert isinstance(login, Login)
    assert login.is_repeated
    changes = {change.name: change for change in login.cookies}
    assert len(changes) == len(login.cookies), "each cookie is told of once"
    marks = changes.pop(f"{PREFIX}evicted").plain
    assert marks is not None
    assert evicted not in marks.split(".")
    assert marks.split(".")[-1] == "abcdefgh"
    left = {name: each for name, each in held.items() if name not in changes}
    gone = {name: each for name, each in held.items() if name in changes}
    assert {name.removeprefix(START)[:8] for name in gone} <= set(marks.split("."))
    for name, (_, _, parts) in held.items():
        for index in range(1, len(parts)):
            assert (f"{name}-{index}" in changes) is (name in gone)
    assert len(left) < MOST_PENDING
    # a repeated login before one that is not, and of the like the older
    assert all(
        (not kind, -age) <= (not other, -older)
        for age, kind, _ in left.values()
        for older, other, _ in gone.values()
    )
