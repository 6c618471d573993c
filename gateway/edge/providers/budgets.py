"""Who may have a provider's keys fetched again, and how often (R27, R84)."""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from gateway.core.decision.needs import Keys

STRANGERS = 8
"""How many fetches all strangers together cause within a cool-down, for each kind of question."""

_MOST_ASKED = 10_000


class KeyBudgets:
    """Budgets by who asks.

    A token that came of our own token call may always have the keys fetched, once: there are no more such
    tokens than token calls. What strangers present costs one fetch within the cool-down for each address and
    each question, and a few for all of them; key ids that are unknown and signatures that fail have budgets
    of their own.
    """

    def __init__(self, clock: Callable[[], float], cooldown: float) -> None:
        """Prepare; ``clock`` is in epoch seconds, ``cooldown`` in seconds."""
        self._clock = clock
        self._cooldown = cooldown
        self._asked: OrderedDict[Hashable, float] = OrderedDict()
        self._strangers: dict[bool, deque[float]] = {False: deque(), True: deque()}

    def allows(self, need: Keys) -> bool:
        """Tell whether this question may cause a fetch, and count it."""
        if need.by is None:
            return self._is_new(("own", need.kid, need.proof))
        # the same token again learns nothing new; an unknown key may be published by and by
        question = (need.kid, need.proof) if need.failed else need.kid
        address = ("address", need.by, need.failed)
        if self._was_asked(address) or self._was_asked(question):
            return False
        now, spent = self._clock(), self._strangers[need.failed]
        while spent and not 0 <= now - spent[0] < self._cooldown:
            spent.popleft()
        if len(spent) >= STRANGERS:
            return False
        spent.append(now)
        return self._is_new(address) and self._is_new(question)

    def _was_asked(self, question: Hashable) -> bool:
        asked = self._asked.get(question)
        return asked is not None and 0 <= self._clock() - asked < self._cooldown

    def _is_new(self, question: Hashable) -> bool:
        if self._was_asked(question):
            return False
        self._asked[question] = self._clock()
        self._asked.move_to_end(question)
        while len(self._asked) > _MOST_ASKED:
            self._asked.popitem(last=False)
        return True
