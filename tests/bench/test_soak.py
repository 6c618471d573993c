"""The soak's verdict on memory: what counts as growth, and what does not."""

import pytest

from tests.bench.soak import GROWTH, MIB, Memory, growth


def run_of(seconds: int, *sizes) -> Memory:
    """Return what was measured each second, where each process has so many MiB at a time."""
    memory = Memory(seconds)
    for at in range(1, seconds + 1):
        memory.measure(at, [int(size(at) * MIB) for size in sizes])
    return memory


def flat(at: float) -> float:
    """Fill up during the first third, and stay."""
    return 70 + min(at, 60) / 4


def leaking(at: float) -> float:
    """Grow by 3 MiB a minute."""
    return flat(at) + at / 20


def test_a_leak_is_named():
    """The process that grows is told from one that does not, and by how much a minute."""
    (found,) = growth(run_of(180, flat, leaking))
    assert found == f"process 1 grew by 3.00 MiB a minute, and may by {GROWTH / MIB:.2f}"


@pytest.mark.parametrize(
    "size",
    [flat, lambda at: 70 + at / 75, lambda at: 70 + at % 7 / 2, lambda at: 70 - at / 10],
    ids=["warming up", "slowly", "up and down", "down"],
)
def test_what_is_no_leak(size):
    """Growth in the first third, growth below the bound, allocators' ups and downs."""
    assert growth(run_of(180, size)) == []


def test_too_short_to_tell():
    """Less than a MiB is what allocators do: a short run says little."""
    assert growth(run_of(12, lambda at: 70 + at / 20)) == []


def test_nothing_is_said_before_the_last_third():
    """The progress lines show no growth while there is nothing to compare."""
    memory = Memory(180)
    for at in (30, 90, 119):
        memory.measure(at, [70 * MIB])
        assert memory.rises() == []
    memory.measure(120, [71 * MIB])
    ((rise, rate),) = memory.rises()
    assert rise == MIB
    assert rate == pytest.approx(MIB * 60 / 15.5)
