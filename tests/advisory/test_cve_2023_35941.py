"""CVE-2023-35941: a MAC over fields without separators, so that bytes could move from one to the next."""

import os

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rules.rate_limit import key_of
from gateway.core.sessions import codec
from gateway.core.sessions.model import Grant
from gateway.core.sessions.record import index_names
from gateway.core.sessions.renewal import rotation_id
from gateway.core.sessions.seal import KeyRing
from tests.support.jose import provider
from tests.support.pure import identity

RING = KeyRing((bytes(range(32)),))
TEXT = st.text(max_size=8)


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_no_two_sessions_share_a_name(first, second):
    """Whatever is hashed or keyed from several fields is framed: equal names mean equal fields."""
    if first == second:
        return
    assert index_names(RING, *first) != index_names(RING, *second)
    who = [identity(issuer=issuer, subject=subject) for issuer, subject, _ in (first, second)]
    if first[:2] != second[:2]:
        assert key_of("identity", who[0], "") != key_of("identity", who[1], "")
    assert (
        codec.encode_grant(Grant(*first[:1], 1, *first[1:2]))
        != codec.encode_grant(Grant(*second[:1], 1, *second[1:2]))
        or first[:2] == second[:2]
    )


def test_a_rotation_is_named_by_framed_fields():
    """A generation and a token cannot lend each other digits."""
    known = provider()
    names = {rotation_id(known, Grant("s", *each)) for each in ((1, "23"), (12, "3"), (123, ""))}
    assert len(names) == 3


def test_a_sealed_value_is_bound_to_kind_and_origin():
    """R45: kind and origin are told apart, and the origin is taken whole."""
    sealed = RING.seal("session https://a.example", b"p", os.urandom(12))
    for purpose in (
        "session https://a.exampl",
        "sessio nhttps://a.example",
        "session  https://a.example",
        "",
    ):
        assert RING.open(purpose, sealed) is None
