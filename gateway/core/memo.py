"""Memories of what was worked out for exact bytes, bounded, and of which forgetting changes no answer."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Text = TypeVar("Text", str, bytes)
Value = TypeVar("Value")


class Generations(Generic[Key, Value]):
    """Maps keys to what was worked out for them, in two generations.

    A full young generation becomes the old one and the old one is dropped; what is asked for again moves to
    the young one. So every operation takes constant time, and what is in use stays. Python's hash of text is
    keyed at random, so chosen texts cannot be made to collide.

    Args:
        most: how many are kept at most; at least half of them are, if in use. 0: none.

    Attributes:
        young: the young generation, for a first look without a call.
    """

    __slots__ = ("_most", "_old", "young")

    def __init__(self, most: int) -> None:
        self.young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._most = most // 2

    def get(self, key: Key) -> Value | None:
        """Return what is known for this very key, or None."""
        found = self.young.get(key)
        if found is None and self._old:
            found = self._old.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Remember; beyond the bounds, forgets what has not been asked for lately."""
        young = self.young
        if len(young) >= self._most:
            if not self._most:
                return
            self._old, self.young = young, {}
        self.young[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self.young, self._old = {}, {}

    def __len__(self) -> int:
        return len(self.young) + len(self._old)


class Memo(Generic[Text, Value]):
    """As ``Generations``, for texts that are bounded in their sizes as well.

    Args:
        most_entries: how many are kept at most; at least half of them are, if in use.
        most_bytes: of the texts together; what was worked out of a session takes two to four times as much
            again.
        most_text: characters or bytes of one text; longer ones are not kept.
    """

    __slots__ = ("_bytes", "_most_bytes", "_most_entries", "_most_text", "_old", "_young")

    def __init__(
        self, most_entries: int = 24_000, most_bytes: int = 24 << 20, most_text: int = 16_384
    ) -> None:
        self._young: dict[Text, Value] = {}
        self._old: dict[Text, Value] = {}
        self._bytes = 0
        self._most_entries = most_entries // 2
        self._most_bytes = most_bytes // 2
        self._most_text = most_text

    def get(self, text: Text) -> Value | None:
        """Return what is known for this very text, or None."""
        found = self._young.get(text)
        if found is None and self._old:
            found = self._old.pop(text, None)
            if found is not None:
                self.put(text, found)
        return found

    def peek(self, text: Text) -> Value | None:
        """Return what is known for this very text, or None; what is kept longest stays the same."""
        found = self._young.get(text)
        return self._old.get(text) if found is None else found

    def put(self, text: Text, value: Value) -> None:
        """Remember; beyond the bounds, forgets what has not been asked for lately."""
        size = len(text)
        if size > self._most_text or not self._most_entries:
            return
        if text not in self._young:
            if len(self._young) >= self._most_entries or self._bytes + size > self._most_bytes:
                self._old, self._young, self._bytes = self._young, {}, 0
            self._bytes += size
        self._young[text] = value

    def forget(self, text: Text) -> None:
        """Remember nothing of this text any more."""
        self._old.pop(text, None)
        if self._young.pop(text, None) is not None:
            self._bytes -= len(text)

    def sweep(self, is_over: Callable[[Value], bool]) -> None:
        """Forget what is over."""
        for held in (self._young, self._old):
            for text in tuple(held):
                if is_over(held[text]):
                    self.forget(text)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Sight(Memo[str, Value]):
    """Another memory, seen without a trace: what is put here stays here."""

    __slots__ = ("_seen",)

    def __init__(self, seen: Memo[str, Value]) -> None:
        super().__init__()
        self._seen = seen

    def get(self, text: str) -> Value | None:
        """Return what is remembered here or there."""
        return super().get(text) or self._seen.peek(text)
