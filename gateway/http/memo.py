"""A memory under exact bytes whose every operation takes constant time."""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class HeadMemo(Generic[Value]):
    """Maps bytes to what was worked out for them, in two generations.

    Only what comes a second time is kept, so that bytes that never come again push nothing out and cost no
    memory. A full young generation becomes the old one and the old one is dropped; what is asked for again
    moves to the young one. So nothing is ever searched for, and at most twice the bounds are kept. Python's
    hash of bytes is keyed at random, so chosen bytes cannot be made to collide.

    Args:
        most_entries: entries of one generation.
        most_bytes: bytes of the keys of one generation.
        most_size: bytes of one key; longer ones are not kept.

    Attributes:
        young: the young generation, for a first look without a call.
    """

    __slots__ = ("_bytes", "_most_bytes", "_most_entries", "_most_size", "_old", "_seen", "young")

    def __init__(self, most_entries: int = 4096, most_bytes: int = 4 << 20, most_size: int = 8192) -> None:
        self.young: dict[bytes, Value] = {}
        self._old: dict[bytes, Value] = {}
        self._seen: set[int] = set()
        self._bytes = 0
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._most_size = most_size

    def get(self, key: bytes) -> Value | None:
        """Return what is known for these very bytes, or None."""
        found = self.young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self._keep(key, found)
        return found

    def put(self, key: bytes, value: Value) -> bool:
        """Remember, if these bytes came before; tell whether they are kept."""
        seen, mark = self._seen, hash(key)
        if mark not in seen:
            if len(seen) >= 2 * self._most_entries:
                seen.clear()
            seen.add(mark)
            return False
        if len(key) > self._most_size:
            return False
        self._keep(key, value)
        return True

    def _keep(self, key: bytes, value: Value) -> None:
        size = len(key)
        if len(self.young) >= self._most_entries or self._bytes + size > self._most_bytes:
            self._old = self.young
            self.young = {}
            self._bytes = 0
        self.young[key] = value
        self._bytes += size

    def clear(self) -> None:
        """Forget every value; which bytes came before stays known."""
        self.young = {}
        self._old = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
