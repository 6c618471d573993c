"""Connections counted by address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.downstream.admission import Admission


def test_beyond_the_limit():
    """The first so many are welcome, and a place that was given back is free again."""
    admission = Admission()
    assert [admission.enter("192.0.2.1", 2) for _ in range(4)] == [0, 0, 1, 2]
    assert admission.enter("192.0.2.2", 2) == 0
    for _ in range(3):
        admission.leave("192.0.2.1")
    assert admission.enter("192.0.2.1", 2) == 0
    assert admission.refused == 2


def test_no_limit():
    """0 is no limit, and what was counted meanwhile counts when there is one."""
    admission = Admission()
    assert [admission.enter("192.0.2.1", 0) for _ in range(1000)] == [0] * 1000
    assert admission.enter("192.0.2.1", 10) == 991


def test_one_network_is_one_address():
    """An IPv6 /64 counts as one address, its neighbour does not."""
    admission = Admission()
    assert admission.enter("2001:db8::1", 1) == 0
    assert admission.enter("2001:db8::2:0:0:2", 1) == 1
    assert admission.enter("2001:db8:0:1::1", 1) == 0


def test_trusted_proxies_are_exempt():
    """Behind a trusted proxy are many clients; the exemption may change at any time."""
    admission = Admission(["10.0.0.0/8", "2001:db8::/32"])
    assert [admission.enter("10.1.2.3", 1) for _ in range(5)] == [0] * 5
    assert [admission.enter("2001:db8::1", 1) for _ in range(5)] == [0] * 5
    admission.exempt([])
    assert admission.enter("10.1.2.3", 1) == 5


@pytest.mark.parametrize("peer", ["", "unknown", "fe80::1%eth0"])
def test_odd_peers(peer):
    """What is no plain address counts all the same."""
    admission = Admission(["10.0.0.0/8"])
    assert [admission.enter(peer, 1) for _ in range(3)] == [0, 1, 2]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]))))
def test_nothing_is_kept_of_who_has_left(moves):
    """Entering and leaving balance, whatever the order: memory is bounded by what is open."""
    admission, open_now = Admission(), []
    for enters, peer in moves:
        if enters:
            admission.enter(peer, 2)
            open_now.append(peer)
        elif peer in open_now:
            admission.leave(peer)
            open_now.remove(peer)
        assert len(admission) == len(set(open_now))
    for peer in open_now:
        admission.leave(peer)
    assert len(admission) == 0
