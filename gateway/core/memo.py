"""A small memory of what was worked out for exact bytes, bounded in entries and in size."""

from typing import Generic, TypeVar

Text = TypeVar("Text", str, bytes)
Value = TypeVar("Value")


class Memo(Generic[Text, Value]):
    """Maps a text to what was worked out for it, in two generations.

    A full young generation becomes the old one and the old one is dropped; what is asked for again moves to
    the young one. So every operation takes constant time, and what is in use stays. Python's string hash is
    keyed at random, so chosen texts cannot be made to collide.

    Args:
        most_entries: how many are kept at most; at least half of them are, if in use.
        most_bytes: of the texts together; what was worked out of a session or a token takes two to four times
            as much again.
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
        if found is None:
            found = self._old.pop(text, None)
            if found is not None:
                self.put(text, found)
        return found

    def put(self, text: Text, value: Value) -> None:
        """Remember; beyond the bounds, forgets what has not been asked for lately."""
        size = len(text)
        if size > self._most_text:
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

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
