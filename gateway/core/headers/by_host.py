"""What is known by a host, which wildcards may stand for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar, overload

from gateway.core.memo import Generations
from gateway.syntax.authority import wildcard_of

Value = TypeVar("Value")
Other = TypeVar("Other")

_MOST: Final = 4096


class ByHost(Mapping[bytes, Value], Generic[Value]):
    """Values by authority in lower case. It has the items of the exact ones, and finds the others.

    Args:
        exact: by authority.
        wild: by wildcard, ``*.example.com``.
        at: returns the value of an authority from that of the wildcard that stands for it.
    """

    __slots__ = ("_at", "_exact", "_made", "_wild")

    def __init__(
        self,
        exact: Mapping[bytes, Value],
        wild: Mapping[bytes, Value],
        at: Callable[[Value, bytes], Value],
    ) -> None:
        self._exact = dict(exact)
        self._wild = wild
        self._at = at
        self._made: Generations[bytes, Value] = Generations(_MOST)

    @overload
    def get(self, host: bytes, /) -> Value | None: ...
    @overload
    def get(self, host: bytes, /, default: Value | Other) -> Value | Other: ...
    def get(self, host: bytes, /, default: object = None) -> object:
        """Return the value of an authority, ``default`` where it has none."""
        found = self._exact.get(host) or self._made.get(host)
        if found is not None:
            return found
        pattern = wildcard_of(host)
        template = None if pattern is None else self._wild.get(pattern)
        if template is None:
            return default
        made = self._at(template, host)
        # anybody makes names up: those that are asked for again stay
        self._made.put(host, made)
        return made

    def __contains__(self, host: object) -> bool:
        """Tell whether an authority has a value."""
        return isinstance(host, bytes) and self.get(host) is not None

    def __getitem__(self, host: bytes) -> Value:
        """Return the value of an authority. Raises KeyError."""
        if (found := self.get(host)) is None:
            raise KeyError(host)
        return found

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the exact authorities."""
        return iter(self._exact)

    def __len__(self) -> int:
        """Return how many exact authorities there are."""
        return len(self._exact)


def by_host(values: Mapping[bytes, Value], at: Callable[[Value, bytes], Value]) -> Mapping[bytes, Value]:
    """Return what finds these values; wildcards among them cost nobody anything where there are none."""
    wild = {name: value for name, value in values.items() if name.startswith(b"*.")}
    if not wild:
        return values
    return ByHost({name: value for name, value in values.items() if name not in wild}, wild, at)
