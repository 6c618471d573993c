"""How audit entries are chained: each carries a MAC over itself and the MAC before it.

A chain belongs to one start of one process and has a random name. An entry has two parts: one that says
nothing of a person, under the MAC itself, and one that does, of which the MAC covers a digest alone. So what
is personal can be forgotten and the chain still holds; the digest covers a random salt as well, which goes
with it, so that nobody finds the forgotten part by trying. The head of a chain is anchored apart from it, and
so is where it begins once its oldest entries have made room; both are signed, so that whoever can write to
the store can neither shorten a chain nor pass that off as making room.

Keys are derived from the secret keys of the configuration under a label of their own. Each chain names the
one that it is made with, so that chains of older keys are verified as long as these are in the ring.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.core.reasons import Reason
from gateway.syntax.encoding import Json, parse_object

LABEL: Final = "audit"
"""The purpose for which keys are derived."""
MOST_ENTRY: Final = 65_536
"""Bytes of one part of an entry."""
PUBLIC: Final = frozenset(
    {
        "time",
        "level",
        "event",
        "worker",
        "route",
        "provider",
        "how",
        "source",
        "kind",
        "outcome",
        "provider_logout",
        "generation",
        "decision",
        "status",
        "method",
        "error",
        "count",
        "entries",
        "key_hint",
        "heads",
        "after",
        "workers",
        "changed",
    }
)
"""Members that say nothing of a person; all others are personal."""
_WORDS: Final = frozenset(map(str, Reason))


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of chains: ``seeds`` by what is told of each; the first is the one that new chains use."""

    seeds: Mapping[str, bytes]

    @property
    def newest(self) -> str:
        """What is told of the key of new chains."""
        return next(iter(self.seeds))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it is kept. ``commitment`` is the digest of the personal part."""

    chain: str
    seq: int
    prev: str
    mac: str
    public: str
    commitment: str


def canonical(members: Mapping[str, Json]) -> str:
    """Return the one way in which members are written where a digest or MAC is over them."""
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def split(members: Mapping[str, Json], salt: str) -> tuple[str, str]:
    """Return both parts of an event's members, the personal one with its salt, in their canonical form.

    A reason is personal as well where it is in an operator's own words, and none of ours.
    """
    public, personal = {}, {}
    for name, value in members.items():
        if name in PUBLIC or (name == "reason" and value in _WORDS):
            public[name] = value
        else:
            personal[name] = value
    return canonical(public), canonical(personal | {"salt": salt})


def commit(personal: str) -> str:
    """Return the digest of a personal part."""
    return hashlib.sha256(b"gateway audit personal\x00" + personal.encode("utf-8", "replace")).hexdigest()


def sign(seed: bytes, *parts: str | int) -> str:
    """Return the MAC of what is signed: the first part says what it is."""
    return hmac.new(seed, json.dumps(parts).encode(), hashlib.sha256).hexdigest()


def is_signed(seed: bytes, mac: str, *parts: str | int) -> bool:
    """Tell whether a MAC is that of these parts."""
    return hmac.compare_digest(sign(seed, *parts).encode(), mac.encode("utf-8", "replace"))


def mac_of(seed: bytes, entry: Entry) -> str:
    """Return the MAC that an entry should have."""
    return sign(seed, "entry", entry.chain, entry.seq, entry.prev, entry.public, entry.commitment)


def is_written(keys: Keys, entry: Entry) -> bool:
    """Tell whether an entry is as one of these keys has signed it, whoever has kept it since."""
    parts = (entry.chain, entry.seq, entry.prev, entry.public, entry.commitment)
    return any(is_signed(seed, entry.mac, "entry", *parts) for seed in keys.seeds.values())


def name_chain(now: float, drawn: bytes) -> str:
    """Return the name of a chain that begins now, epoch seconds; names are in the order of beginnings."""
    return f"{int(now * 1000):011x}{drawn.hex()}"


def read_began(chain: str) -> float | None:
    """Return when a chain has begun, by its name; None for what is no name of ours."""
    try:
        return int(chain[:11], 16) / 1000
    except ValueError:
        return None


class Chain:
    """A chain that grows. ``name`` is random; ``seq`` and ``mac`` are those of its last entry."""

    __slots__ = ("_seed", "hint", "mac", "name", "seq")

    def __init__(self, name: str, hint: str, seed: bytes) -> None:
        self.name = name
        self.hint = hint
        self._seed = seed
        self.seq = 0
        self.mac = ""

    def add(self, public: str, personal: str) -> Entry:
        """Return the next entry."""
        bare = Entry(self.name, self.seq + 1, self.mac, "", public, commit(personal))
        entry = Entry(bare.chain, bare.seq, bare.prev, mac_of(self._seed, bare), public, bare.commitment)
        self.seq, self.mac = entry.seq, entry.mac
        return entry

    def anchor(self) -> "Anchor":
        """Return the signed head."""
        mac = sign(self._seed, "head", self.name, self.seq, self.mac)
        return Anchor(self.name, self.hint, self.seq, self.mac, mac)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The head of a chain, kept apart from it and signed by the chain's own key, which ``hint`` names."""

    chain: str
    hint: str
    seq: int
    mac: str
    signature: str

    def encode(self) -> str:
        """Return it as it is kept: the number first, for scripts."""
        return f"{self.seq} {self.hint} {self.mac} {self.signature}"

    def is_good(self, keys: Keys) -> bool | None:
        """Tell whether it is ours; None where its key is unknown."""
        seed = keys.seeds.get(self.hint)
        return (
            None if seed is None else is_signed(seed, self.signature, "head", self.chain, self.seq, self.mac)
        )


def read_anchor(chain: str, text: str) -> Anchor | None:
    """Return an anchor as it was encoded, None for anything else."""
    parts = text.split(" ")
    if len(parts) != 4 or not _is_number(parts[0]):
        return None
    return Anchor(chain, parts[1], int(parts[0]), parts[2], parts[3])


def encode_first(keys: Keys, chain: str, seq: int) -> str:
    """Return the signed number of the first entry that is left of a chain."""
    hint = keys.newest
    return f"{seq} {hint} {sign(keys.seeds[hint], 'first', chain, seq)}"


def read_first(keys: Keys, chain: str, text: str) -> tuple[int, bool | None]:
    """Return that number, and whether it is ours; None where its key is unknown."""
    parts = text.split(" ")
    if len(parts) != 3 or not _is_number(parts[0]):
        return 0, False
    seed = keys.seeds.get(parts[1])
    if seed is None:
        return int(parts[0]), None
    return int(parts[0]), is_signed(seed, parts[2], "first", chain, int(parts[0]))


def encode_mark(keys: Keys, entry: Entry) -> str:
    """Return the signed mark that stands in place of a personal part that was forgotten."""
    hint = keys.newest
    return f"{hint} {sign(keys.seeds[hint], 'forgotten', entry.chain, entry.seq, entry.commitment)}"


def is_mark(keys: Keys, entry: Entry, text: str) -> bool | None:
    """Tell whether a mark is ours; None where its key is unknown."""
    hint, _, mac = text.partition(" ")
    seed = keys.seeds.get(hint)
    if seed is None:
        return None
    return is_signed(seed, mac, "forgotten", entry.chain, entry.seq, entry.commitment)


def encode_entry(entry: Entry) -> str:
    """Return an entry as the store keeps it."""
    return json.dumps(
        [entry.chain, entry.seq, entry.prev, entry.mac, entry.public, entry.commitment],
        separators=(",", ":"),
    )


def read_entry(text: str) -> Entry | None:
    """Return an entry as it was encoded, None for anything else."""
    found = parse_object(f'{{"e":{text}}}'.encode("utf-8", "replace"), 2 * MOST_ENTRY)
    parts = found.get("e") if found is not None else None
    if not isinstance(parts, list) or len(parts) != 6:
        return None
    chain, seq, prev, mac, public, commitment = parts
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 1 << 53:
        return None
    if not _are_texts((chain, prev, mac, public, commitment)):
        return None
    return Entry(str(chain), seq, str(prev), str(mac), str(public), str(commitment))


def _are_texts(parts: Sequence[Json]) -> bool:
    return all(isinstance(part, str) for part in parts)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 16
