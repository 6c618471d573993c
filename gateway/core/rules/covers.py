"""What the denylist holds against a name for all that it names, and how that is kept in few bytes.

Of a million entries nearly all have one place, in one of very few epochs: those are packed into 31 bytes, an
object of 64, where the object with its dict is eight times as large. What does not fit is kept as it is.
"""

from struct import Struct
from typing import Final, TypeAlias

from gateway.core.identity import Position
from gateway.core.rules.entries import AS_WRITTEN

CLOCK_MARGIN: Final = 5.0
"""Seconds by which the clocks of gateways may differ where time decides over sessions."""

# the text of a time in the store is rounded to milliseconds
_ROUNDING: Final = 0.001
_UNWRITTEN: Final = AS_WRITTEN[0]


class Cover:
    """What is held against one name: by epoch the highest seq and the latest time; None: time decides."""

    __slots__ = ("before", "expires", "places")

    def __init__(self, before: float, expires: float) -> None:
        self.before = before
        self.expires = expires
        self.places: dict[str | None, tuple[int, float]] = {}

    def place(self, position: Position | None, before: float) -> bool:
        """Take one more position; tell whether it changed anything."""
        epoch, seq = (None, 0) if position is None else position
        if epoch == _UNWRITTEN and self._is_written(before):
            return False
        waiting = self.places.get(_UNWRITTEN)
        # this one has been written; of another that names the same, only it can tell
        is_written = epoch != _UNWRITTEN and waiting is not None and abs(waiting[1] - before) <= _ROUNDING
        if is_written:
            del self.places[_UNWRITTEN]
        known = self.places.get(epoch)
        if known is not None:
            seq, before = max(seq, known[0]), max(before, known[1])
        self.places[epoch] = seq, before
        return is_written or known != (seq, before)

    def widen(self, before: float, expires: float) -> bool:
        """Take one more time and expiry; tell whether they changed anything."""
        wider = before > self.before or expires > self.expires
        self.before, self.expires = max(before, self.before), max(expires, self.expires)
        return wider

    def _is_written(self, before: float) -> bool:
        # an entry that is told again, as after an answer that was lost, ends nothing that began since
        return any(abs(at - before) <= _ROUNDING for epoch, (_, at) in self.places.items() if epoch)

    def ends(self, position: Position | None, began: float) -> bool:
        """Tell whether what began then and there is over."""
        for epoch, (seq, before) in self.places.items():
            if epoch == _UNWRITTEN:
                return True
            if position is not None and position[0] == epoch:
                if position[1] < seq:
                    return True
            elif began <= before + CLOCK_MARGIN:
                return True
        return False


Held: TypeAlias = bytes | Cover
"""A cover as it is kept: packed, where it has one place that fits."""

# before and expires; of the place its time, its seq in two parts, and the number of its epoch
_PACKED: Final = Struct("<dddHIB")
_unpack: Final = _PACKED.unpack
_unpack_times: Final = Struct("<dd").unpack_from
_MOST_SEQ: Final = 1 << 48
_MOST_EPOCHS: Final = 1 << 8


class Covers:
    """Packs covers and reads them. Knows the epochs that were met, each by a number."""

    __slots__ = ("_names", "_numbers")

    def __init__(self) -> None:
        self._names: list[str | None] = []
        self._numbers: dict[str | None, int] = {}

    def pack(self, cover: Cover) -> Held:
        """Return a cover as it is to be kept."""
        if len(cover.places) != 1:
            return cover
        ((epoch, (seq, at)),) = cover.places.items()
        number = self._numbers.get(epoch)
        if number is None and len(self._names) < _MOST_EPOCHS:
            number = self._numbers[epoch] = len(self._names)
            self._names.append(epoch)
        if number is None or not 0 <= seq < _MOST_SEQ:
            return cover
        return _PACKED.pack(cover.before, cover.expires, at, seq >> 32, seq & 0xFFFF_FFFF, number)

    def unpack(self, held: Held) -> Cover:
        """Return the cover that was kept."""
        if not isinstance(held, bytes):
            return held
        before, expires, at, high, low, number = _unpack(held)
        cover = Cover(before, expires)
        cover.places[self._names[number]] = high << 32 | low, at
        return cover

    def ends(self, held: bytes, position: Position | None, began: float, now: float) -> bool:
        """Tell whether a packed cover holds at ``now``, and what began then and there is over."""
        _, expires, at, high, low, number = _unpack(held)
        if now >= expires:
            return False
        epoch = self._names[number]
        if epoch == _UNWRITTEN:
            return True
        if position is not None and position[0] == epoch:
            return bool(position[1] < (high << 32 | low))
        return bool(began <= at + CLOCK_MARGIN)


def times_of(held: Held) -> tuple[float, float]:
    """Return ``before`` and ``expires`` of a cover."""
    if not isinstance(held, bytes):
        return held.before, held.expires
    times: tuple[float, float] = _unpack_times(held)
    return times
