"""A gateway whose upstream leads back to itself: a request must not go round for ever (RFC 8586)."""

import pytest

from gateway.core.decision.answers import Forward, Refuse
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.pure import values

OTHER = "B" * 43 + "="


def name_of(known) -> bytes:
    """Return the name under which a gateway counts."""
    return known.rules.loop_names[0]


def went_on(known, *headers: Header, path: str = "/public/x") -> list[bytes] | None:
    """Return the values of CDN-Loop that go on, None where the request does not."""
    answer = ask(known, path, *headers)
    if isinstance(answer, Forward):
        return values(answer.headers, b"CDN-Loop")
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.LOOP_DETECTED
    return None


def test_the_fifth_pass_is_refused():
    """[3.13]: each pass adds the name; four are let through, whoever else is in between."""
    known, field = compiled(), []
    for number in range(4):
        (told,) = went_on(known, *field)
        assert told.count(name_of(known)) == number + 1
        assert known.ring.keys[0].hex().encode() not in told
        field = [(b"CDN-Loop", told + b', other.example; trace="x, y"')]
    assert went_on(known, *field) is None
    assert went_on(known, *field, session_cookie(known), path="/x") is None


@pytest.mark.parametrize("name", [b"CDN-Loop", b"cdn-loop", b"CDN_Loop"])
@pytest.mark.parametrize(
    "lines",
    [
        [b"%b, %b, %b, %b"],
        [b"%b,%b", b"%b,%b"],
        [b"%b", b"%b", b"%b", b"%b"],
        [b'%b;v="1", %b ; a, ,%b\t;x,%b'],
        [b'open="', b"%b, %b, %b, %b"],
        [b'open=", %b, %b, %b, %b'],
    ],
)
def test_however_it_is_written(name: bytes, lines: list[bytes]):
    """[3.13]: lists, lines, parameters, an open quote in front: no pass is hidden."""
    known = compiled()
    headers = [(name, line % ((name_of(known),) * line.count(b"%b"))) for line in lines]
    assert went_on(known, *headers) is None
    assert went_on(known, (b"Connection", b"CDN-Loop"), *headers) is None


def test_what_others_count_is_kept():
    """[3.13]: others' names go on and are not counted, and nobody else's passes are ours."""
    known, other = compiled(), compiled(secret_keys=[OTHER])
    assert name_of(known) != name_of(other)
    field = (b"CDN-Loop", b", ".join([name_of(other)] * 9 + [b"cdn.example"]))
    assert went_on(known, field) == [field[1] + b", " + name_of(known)]
    assert went_on(known, (b"CDN-Loop", b"")) == [name_of(known)]


def test_a_rotated_key_counts_on():
    """[3.13]: gateways of one ring count together while its first key changes."""
    old, new = compiled(), compiled(secret_keys=[OTHER, "A" * 43 + "="])
    assert name_of(old) in new.rules.loop_names
    assert went_on(new, (b"CDN-Loop", b", ".join([name_of(old), name_of(new)] * 2))) is None
