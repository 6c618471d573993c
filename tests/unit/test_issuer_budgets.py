"""Who may have keys fetched, and when a token endpoint is left alone: by a clock that the test moves."""

from itertools import pairwise

from gateway.core.decision.needs import Keys
from gateway.edge.providers.budgets import STRANGERS, KeyBudgets
from gateway.edge.providers.pauses import MOST_WAIT, Pauses


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def own(kid: str, proof: str, *, failed: bool = False) -> Keys:
    return Keys("p", kid, failed, None, proof)


def stranger(address: str, kid: str, proof: str = "s", *, failed: bool = False) -> Keys:
    return Keys("p", kid, failed, address, proof)


def test_r84_own_tokens_are_asked_about_once_each():
    """R84 [2.38]: strangers' questions take nothing from our own; the same token is asked about once."""
    budgets = KeyBudgets(Clock(), 30)
    for index in range(100):
        budgets.allows(stranger(f"192.0.2.{index}", f"made-up-{index}"))
    for index in range(100):
        assert budgets.allows(own("new", f"signature-{index}"))
        assert not budgets.allows(own("new", f"signature-{index}"))


def test_r84_a_strangers_key_ids_do_not_use_up_the_others_turn():
    """R84 [2.31]: one address has one question within the cool-down, and another address its own."""
    clock = Clock()
    budgets = KeyBudgets(clock, 30)
    assert budgets.allows(stranger("192.0.2.1", "made-up-1"))
    assert not budgets.allows(stranger("192.0.2.1", "made-up-2"))
    assert budgets.allows(stranger("192.0.2.2", "new"))
    # the same question by somebody else brings nothing new
    assert not budgets.allows(stranger("192.0.2.3", "new"))
    clock.now += 30
    assert budgets.allows(stranger("192.0.2.1", "made-up-3"))


def test_r84_failed_signatures_have_a_budget_of_their_own():
    """R84 [2.31]: one fetch per (key id, failed signature); unknown key ids have another."""
    budgets = KeyBudgets(Clock(), 30)
    assert budgets.allows(stranger("192.0.2.1", "made-up"))
    assert budgets.allows(stranger("192.0.2.1", "main", "s1", failed=True))
    assert not budgets.allows(stranger("192.0.2.1", "main", "s1", failed=True))
    assert not budgets.allows(stranger("192.0.2.1", "main", "s2", failed=True))
    assert not budgets.allows(stranger("192.0.2.2", "main", "s1", failed=True))
    assert budgets.allows(stranger("192.0.2.2", "main", "s2", failed=True))


def test_r84_all_strangers_together_are_bounded():
    """R84 [2.31]: from however many addresses, for however many key ids; the cool-down ends it."""
    clock = Clock()
    budgets = KeyBudgets(clock, 30)
    for failed in (False, True):
        asked = [
            budgets.allows(stranger(f"a{index}", f"k{index}", f"s{index}", failed=failed))
            for index in range(1000)
        ]
        assert sum(asked) == STRANGERS
    clock.now += 30
    assert budgets.allows(stranger("b", "k"))


def test_r84_a_clock_that_is_set_back_blocks_nobody():
    """R84: times that lie in the future are no reason to refuse."""
    clock = Clock()
    budgets = KeyBudgets(clock, 30)
    assert budgets.allows(stranger("a", "k"))
    clock.now -= 500
    assert budgets.allows(stranger("a", "k"))


def test_back_off_grows_with_jitter_and_ends():
    """[2.30]: each failure after a pause doubles it up to a bound, no two alike; a success ends it."""
    clock = Clock()
    pauses, found = Pauses(clock), []
    for _ in range(12):
        pauses.failed("t", clock.now, None)
        found.append(pauses.left("t"))
        clock.now += found[-1]
        assert pauses.left("t") == 0
    assert found[0] < 1
    assert all(before < after * 2 for before, after in pairwise(found))
    assert 10 <= found[-1] <= 20
    assert len(set(found)) == len(found)
    pauses.succeeded("t")
    assert pauses.left("t") == 0
    assert pauses.left("other") == 0


def test_calls_that_failed_together_count_once():
    """[2.30]: a burst that was under way when the first of it failed is one failure."""
    clock = Clock()
    pauses = Pauses(clock)
    for _ in range(100):
        pauses.failed("t", clock.now - 1, None)
    assert pauses.left("t") < 1


def test_retry_after_is_obeyed_up_to_a_minute():
    """[2.30]: what the provider asks for, and no more than 60 s."""
    clock = Clock()
    pauses = Pauses(clock)
    pauses.failed("a", clock.now, 7)
    assert pauses.left("a") == 7
    pauses.failed("b", clock.now, 3600)
    assert pauses.left("b") == MOST_WAIT
    pauses.failed("b", clock.now, None)
    assert pauses.left("b") == MOST_WAIT
    clock.now -= 5000
    assert pauses.left("b") == 0
