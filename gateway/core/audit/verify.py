"""Whether chains are as they were written: what is missing, altered, cut off, or cannot be told.

Entries are seen in the order in which they are kept; anchors are read before and after, since a trail grows
and makes room while it is walked. What one chain is told of another, as its first entry does, counts as well:
a chain that is gone with its anchor is missed by those that began after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.core.audit.chain import (
    MOST_ENTRY,
    Anchor,
    Entry,
    Keys,
    commit,
    is_mark,
    is_signed,
    read_anchor,
    read_began,
    read_first,
)
from gateway.syntax.dates import read_date
from gateway.syntax.encoding import Json, parse_object

Verdict = Literal["good", "gap", "altered", "cut off", "cannot be told"]

MOST_FINDINGS: Final = 20
"""Findings of one chain that are told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a chain, and where: ``seq`` is the number of the entry."""

    kind: Verdict
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one chain. ``first`` and ``last`` are the numbers of its entries, 0 without any."""

    chain: str
    verdict: Verdict
    entries: int
    first: int
    last: int
    began: str
    ended: str
    forgotten: int
    lost: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Anchors:
    """What is kept apart from the chains. ``has_firsts``: where they begin as well, as in a store."""

    heads: Mapping[str, str]
    firsts: Mapping[str, str]
    has_firsts: bool = True


@dataclass(slots=True)
class _Seen:
    """What was seen of one chain so far."""

    hint: str = ""
    first: int = 0
    last: int = 0
    mac: str = ""
    entries: int = 0
    forgotten: int = 0
    lost: int = 0
    began: str = ""
    ended: str = ""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    # before a key was found
    unread: list[int] = field(default_factory=list)
    macs: dict[int, str] = field(default_factory=dict)

    def find(self, kind: Verdict, seq: int, text: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind, seq, text))


class Walk:
    """Walks chains; ``see`` each entry, then ``end``.

    Args:
        keys: of the configuration.
        anchors: as they were before the walk.
    """

    def __init__(self, keys: Keys, anchors: Anchors) -> None:
        self._keys = keys
        self._anchors = anchors
        self._seen: dict[str, _Seen] = {}
        self._told: dict[str, int] = {}
        self._since: float | None = None

    def see(self, entry: Entry, personal: str | None, mark: str) -> None:
        """Take the next entry; ``personal`` is None where it is not there or sealed by an unknown key."""
        seen = self._seen.setdefault(entry.chain, _Seen())
        public = parse_object(entry.public.encode("utf-8", "replace"), MOST_ENTRY) or {}
        if not seen.entries:
            seen.hint = self._hint_of(entry.chain, public)
            seen.first, seen.began = entry.seq, _text(public.get("time"))
        if self._since is None:
            self._since = read_date(f"{_text(public.get('time'))[:19]}Z")
        seen.entries += 1
        if seen.hint not in self._keys.seeds:
            self._try_keys(entry, seen)
        seed = self._keys.seeds.get(seen.hint)
        if seed is not None:
            self._judge(entry, seen, seed, public)
            self._judge_personal(entry, seen, personal, mark)
        seen.last = max(seen.last, entry.seq)
        seen.mac, seen.ended = entry.mac, _text(public.get("time"))
        anchor = self._anchor(entry.chain)
        if anchor is not None and entry.seq == anchor.seq:
            seen.macs[entry.seq] = entry.mac

    def _hint_of(self, chain: str, public: Mapping[str, Json]) -> str:
        """Return which key a chain names: its anchor, or else its first entry."""
        anchor = self._anchor(chain)
        return anchor.hint if anchor is not None else _text(public.get("key_hint"))

    def _try_keys(self, entry: Entry, seen: _Seen) -> None:
        """Find the key of a chain that names none of ours: whoever altered what names it hides nothing so."""
        parts = (entry.chain, entry.seq, entry.prev, entry.public, entry.commitment)
        for hint, seed in self._keys.seeds.items():
            if is_signed(seed, entry.mac, "entry", *parts):
                seen.hint = hint
                for seq in seen.unread:
                    seen.find("altered", seq, "is not as it was written")
                return
        seen.unread.append(entry.seq)
        del seen.unread[MOST_FINDINGS:]

    def _judge(self, entry: Entry, seen: _Seen, seed: bytes, public: Mapping[str, Json]) -> None:
        parts = (entry.chain, entry.seq, entry.prev, entry.public, entry.commitment)
        if not is_signed(seed, entry.mac, "entry", *parts):
            seen.find("altered", entry.seq, "is not as it was written")
        elif seen.last and entry.seq <= seen.last:
            seen.find("altered", entry.seq, f"stands behind entry {seen.last}")
        elif seen.last and entry.seq > seen.last + 1:
            seen.gaps.append((seen.last + 1, entry.seq - 1))
        elif entry.prev != seen.mac and (seen.last or entry.seq == 1):
            seen.find("altered", entry.seq, "does not follow the one before it")
        event, count = public.get("event"), public.get("count")
        if event == "audit_lost" and isinstance(count, int):
            seen.lost += count
        heads = public.get("heads")
        if event == "chain_began" and isinstance(heads, dict):
            for chain, seq in heads.items():
                if isinstance(seq, int):
                    self._told[chain] = max(seq, self._told.get(chain, 0))

    def _judge_personal(self, entry: Entry, seen: _Seen, personal: str | None, mark: str) -> None:
        if personal is not None:
            if commit(personal) != entry.commitment:
                seen.find("altered", entry.seq, "tells of a person otherwise than was written")
            return
        is_ours = is_mark(self._keys, entry, mark) if mark else False
        if is_ours:
            seen.forgotten += 1
        elif is_ours is None:
            seen.find("cannot be told", entry.seq, "was forgotten under a key that is unknown")
        elif mark == SEALED:
            seen.find("cannot be told", entry.seq, "what is personal was sealed under a key that is unknown")
        else:
            seen.find("altered", entry.seq, "what is personal is gone, and nobody has forgotten it")

    def end(self, after: Anchors) -> list[Account]:
        """Return what became of each chain, the oldest first; ``after`` is how anchors are by now."""
        chains = {*self._seen, *self._told, *filter(self._has_to_be_there, self._anchors.heads)}
        # a chain that has begun meanwhile is of the next walk
        return [self._end(chain, after) for chain in sorted(chains)]

    def _has_to_be_there(self, chain: str) -> bool:
        """Tell whether an anchored chain is missed: older files than those that were given may hold it."""
        if self._anchors.has_firsts:
            return True
        began = read_began(chain)
        return began is not None and self._since is not None and began > self._since + 1

    def _end(self, chain: str, after: Anchors) -> Account:
        seen = self._seen.get(chain) or _Seen()
        anchor = self._anchor(chain)
        hint = seen.hint or (anchor.hint if anchor is not None else "")
        if hint and hint not in self._keys.seeds:
            seen.find("cannot be told", 0, "its key is not among secret_keys")
        else:
            self._judge_ends(chain, seen, anchor, after)
        return Account(
            chain,
            _verdict(seen.findings),
            seen.entries,
            seen.first,
            seen.last,
            seen.began,
            seen.ended,
            seen.forgotten,
            seen.lost,
            tuple(seen.findings),
        )

    def _judge_ends(self, chain: str, seen: _Seen, anchor: Anchor | None, after: Anchors) -> None:
        first = self._first(chain, seen, after)
        for begin, end in seen.gaps:
            # what has made room while it was walked is no gap
            if end >= first:
                seen.find("gap", begin, f"{_entries(begin, end)} missing")
        if seen.entries and seen.first > first:
            kind: Verdict = "gap" if self._anchors.has_firsts else "cannot be told"
            why = "" if self._anchors.has_firsts else ": are there older files?"
            seen.find(kind, first, f"{_entries(first, seen.first - 1)} missing{why}")
        if anchor is None:
            self._judge_unanchored(chain, seen, first)
            return
        if (anchor.hint != seen.hint and seen.entries) or not anchor.is_good(self._keys):
            seen.find("altered", anchor.seq, "the anchor of its end is not as it was written")
            return
        if anchor.seq < self._told.get(chain, 0):
            seen.find("cut off", anchor.seq, f"a later chain has seen it reach entry {self._told[chain]}")
        if seen.last < anchor.seq and first <= anchor.seq:
            begin = max(seen.last + 1, first)
            seen.find("cut off", begin, f"{_entries(begin, anchor.seq)} missing at its end")
        elif seen.macs.get(anchor.seq, anchor.mac) != anchor.mac:
            seen.find("altered", anchor.seq, "is another one than its anchor names")

    def _judge_unanchored(self, chain: str, seen: _Seen, first: int) -> None:
        if not seen.entries and self._told.get(chain, 0) < first:
            return
        if not seen.entries:
            seen.find("gap", 1, "a later chain has seen it, and it is gone")
        elif self._anchors.has_firsts:
            seen.find("altered", seen.last, "the anchor of its end is gone")
        else:
            seen.find("cannot be told", seen.last, "nothing anchors its end")

    def _first(self, chain: str, seen: _Seen, after: Anchors) -> int:
        """Return the number of the first entry that has to be there."""
        first = 1
        for each in (self._anchors, after):
            if (text := each.firsts.get(chain)) is not None:
                number, is_ours = read_first(self._keys, chain, text)
                if is_ours:
                    first = max(first, number)
                elif is_ours is None:
                    seen.find("cannot be told", number, "its beginning is signed by a key that is unknown")
                else:
                    seen.find("altered", number, "the anchor of its beginning is not as it was written")
        return first

    def _anchor(self, chain: str) -> Anchor | None:
        text = self._anchors.heads.get(chain)
        return read_anchor(chain, text) if text is not None else None


SEALED: Final = "sealed"
"""In place of a mark: what is personal is there and cannot be opened."""
_ORDER: Final[tuple[Verdict, ...]] = ("altered", "gap", "cut off", "cannot be told")


def _verdict(findings: list[Finding]) -> Verdict:
    kinds = {each.kind for each in findings}
    return next((each for each in _ORDER if each in kinds), "good")


def _entries(begin: int, end: int) -> str:
    return f"entry {begin} is" if begin == end else f"entries {begin} to {end} are"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


__all__ = ["SEALED", "Account", "Anchors", "Finding", "Verdict", "Walk"]
