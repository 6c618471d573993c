"""A memory under exact keys whose every operation takes constant time."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def by_key(key: bytes, _value: object) -> int:
    """Measure by the key alone."""
    return len(key)


class HeadMemo(Generic[Key, Value]):
    """Maps bytes, or what consists of bytes, to what was worked out for them, in two generations.

    Only what comes a second time is kept, so that bytes that never come again push nothing out and cost no
    memory. A full young generation becomes the old one and the old one is dropped; what is asked for again
    moves to the young one. So nothing is ever searched for, and at most twice the bounds are kept. Python's
    hash of bytes is keyed at random, so chosen bytes cannot be made to collide.

    Args:
        measure: returns the bytes that a key and its value take.
        most_entries: entries of one generation.
        most_bytes: bytes of one generation.
        most_size: bytes of one key with its value; larger ones are not kept.

    Attributes:
        young: the young generation, for a first look without a call.
    """

    __slots__ = ("_bytes", "_measure", "_most_bytes", "_most_entries", "_most_size", "_old", "_seen", "young")

    def __init__(
        self,
        measure: Callable[[Key, Value], int],
        most_entries: int = 4096,
        most_bytes: int = 4 << 20,
        most_size: int = 8192,
    ) -> None:
        self.young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._seen: set[int] = set()
        self._bytes = 0
        self._measure = measure
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._most_size = most_size

    def get(self, key: Key) -> Value | None:
        """Return what is known for this very key, or None."""
        found = self.young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self._keep(key, found, self._measure(key, found))
        return found

    def comes_again(self, key: Key) -> bool:
        """Tell whether this key came before, and note that it came."""
        seen, mark = self._seen, hash(key)
        if mark in seen:
            return True
        if len(seen) >= 2 * self._most_entries:
            seen.clear()
        seen.add(mark)
        return False

    def put(self, key: Key, value: Value) -> bool:
        """Remember, if this key came before; tell whether it is kept."""
        if not self.comes_again(key):
            return False
        size = self._measure(key, value)
        if size > self._most_size:
            return False
        self._keep(key, value, size)
        return True

    def _keep(self, key: Key, value: Value, size: int) -> None:
        if len(self.young) >= self._most_entries or self._bytes + size > self._most_bytes:
            self._old = self.young
            self.young = {}
            self._bytes = 0
        self.young[key] = value
        self._bytes += size

    def clear(self) -> None:
        """Forget every value; which keys came before stays known."""
        self.young = {}
        self._old = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
