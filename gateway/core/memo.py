"""A small memory of what was worked out for exact bytes, bounded in entries and in size."""

from typing import Generic, TypeVar

Text = TypeVar("Text", str, bytes)
Value = TypeVar("Value")


class Memo(Generic[Text, Value]):
    """Maps a text to what was worked out for it. Oldest entries leave first; long texts are not kept.

    Python's string hash is keyed at random, so chosen texts cannot be made to collide.

    Args:
        most_entries: how many are kept.
        most_bytes: of the texts together; what was worked out of a session or a token takes two to four times
            as much again.
        most_text: characters or bytes of one text; longer ones are not kept.
    """

    __slots__ = ("_bytes", "_entries", "_most_bytes", "_most_entries", "_most_text")

    def __init__(
        self, most_entries: int = 20_000, most_bytes: int = 16 << 20, most_text: int = 16_384
    ) -> None:
        self._entries: dict[Text, Value] = {}
        self._bytes = 0
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._most_text = most_text

    def get(self, text: Text) -> Value | None:
        """Return what is known for this very text, or None."""
        return self._entries.get(text)

    def put(self, text: Text, value: Value) -> None:
        """Remember; forgets the oldest entries beyond the bounds."""
        size = len(text)
        if size > self._most_text:
            return
        entries = self._entries
        if text not in entries:
            self._bytes += size
        entries[text] = value
        while len(entries) > self._most_entries or self._bytes > self._most_bytes:
            oldest = next(iter(entries))
            del entries[oldest]
            self._bytes -= len(oldest)

    def forget(self, text: Text) -> None:
        """Remember nothing of this text any more."""
        if self._entries.pop(text, None) is not None:
            self._bytes -= len(text)

    def __len__(self) -> int:
        return len(self._entries)
