"""How the denylist is kept in the store: its scripts, and its entries as text.

Keys, all with one hash tag, always in this order: ``epoch`` (random, drawn with the first use: another one
means that the store lost its data), ``seq`` (counts the changes), ``entries`` (a sorted set: an entry's
text with its expiry as the score), ``log`` (a stream of the latest changes: ``s`` the seq, ``e`` the text,
``x`` the expiry, ``p`` the place), ``workers`` (a sorted set: when each was last heard of, the store's time
in ms), ``applied`` (a hash: the seq that each has applied), ``places`` (a hash: the place of each text),
``due`` (a sorted set: an expiry, a space and the text of an entry that is to hold later, scored by when, the
store's time in ms: whichever worker beats first then writes it, so it outlives the worker that put it off).

A place is the epoch and the seq at which an entry was written first, separated by a space. Entries without
one are judged by time: those that ask for it, and those of gateways that know of no places, which read and
write the rest as ever. An entry that is written back into a store that lost its data keeps its place.
"""

import json
import math
from typing import Any, cast, get_args

from gateway.core.identity import Position
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry, EntryKind
from gateway.edge.store.store import Script

KEYS = ("epoch", "seq", "entries", "log", "workers", "applied", "places", "due")
TAG = "{denylist}"
MOST_TEXT = 16_384
MOST_NUMBER = 32
MOST_EPOCH = 64
_EPOCH_NAME = 10
_KINDS = frozenset(get_args(EntryKind))
SINGLE = frozenset({"jti", "session", "key"})
"""Kinds that name one thing, and so need no place."""

# whoever has applied more of this epoch than the store knows of has seen its history lost: the same seqs are
# about to mean something else, so it is another epoch from here on
_EPOCH = """
local function current(drawn, known, applied)
  redis.call('SET', KEYS[1], drawn, 'NX')
  local seq = tonumber(redis.call('GET', KEYS[2]) or '0')
  if redis.call('GET', KEYS[1]) == known and seq < tonumber(applied) then
    redis.call('SET', KEYS[1], drawn)
  end
  return redis.call('GET', KEYS[1])
end
"""

SYNCHRONISE = Script(
    _EPOCH
    + """
local epoch = current(ARGV[1], ARGV[2], ARGV[3])
local last = '0-0'
if redis.call('EXISTS', KEYS[4]) == 1 then
  local about = redis.call('XINFO', 'STREAM', KEYS[4])
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then last = about[i + 1] end
  end
end
return {epoch, redis.call('GET', KEYS[2]) or '0', last}
"""
)

# an entry that is there already changes nothing, so repeating is free, and keeps its place. Expired ones go
# with a margin, and only where the store's clock and the writer's both say so: one of them may have stepped
WRITE = Script(
    _EPOCH
    + """
local most, margin, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local epoch = current(ARGV[4], ARGV[5], ARGV[6])
local places = {}
for i = 7, #ARGV, 3 do
  local text, expires, place = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('ZADD', KEYS[3], 'GT', 'CH', expires, text) == 1 then
    local seq = redis.call('INCR', KEYS[2])
    if place == 'new' then place = epoch .. ' ' .. seq end
    if place == '' then
      redis.call('XADD', KEYS[4], 'MAXLEN', '~', most, '*', 's', seq, 'e', text, 'x', expires)
    else
      local known = redis.call('HGET', KEYS[7], text)
      if known then place = known else redis.call('HSET', KEYS[7], text, place) end
      redis.call('XADD', KEYS[4], 'MAXLEN', '~', most, '*', 's', seq, 'e', text, 'x', expires, 'p', place)
    end
  end
  table.insert(places, redis.call('HGET', KEYS[7], text) or '')
end
local until_then = math.min(tonumber(redis.call('TIME')[1]), now) - margin
for _, text in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', until_then, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[3], text)
  redis.call('HDEL', KEYS[7], text)
end
return {epoch, redis.call('GET', KEYS[2]) or '0', places}
"""
)

PUT_OFF = Script("""
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
return redis.call('ZADD', KEYS[8], 'NX', due, ARGV[3] .. ' ' .. ARGV[2])
""")

BEAT = Script("""
local worker, applied, forget, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[5], at, worker)
redis.call('HSET', KEYS[6], worker, applied)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', at - forget)) do
  redis.call('ZREM', KEYS[5], gone)
  redis.call('HDEL', KEYS[6], gone)
end
for _, due in ipairs(redis.call('ZRANGEBYSCORE', KEYS[8], '-inf', at, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[8], due)
  local expires, text = string.match(due, '^(%d+%.?%d*) (.+)$')
  if text and redis.call('ZADD', KEYS[3], 'GT', 'CH', expires, text) == 1 then
    local seq = redis.call('INCR', KEYS[2])
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', most, '*', 's', seq, 'e', text, 'x', expires)
  end
end
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) or '0', tostring(at)}
""")

ACKNOWLEDGED = Script("""
local time = redis.call('TIME')
local since = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]
local answer = {}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], since, '+inf')) do
  table.insert(answer, {worker, redis.call('HGET', KEYS[6], worker) or '0'})
end
return answer
""")

LEAVE = Script("""
redis.call('ZREM', KEYS[5], ARGV[1])
return redis.call('HDEL', KEYS[6], ARGV[1])
""")


def encode_entry(entry: DenyEntry) -> tuple[str, str]:
    """Return an entry's text and its expiry.

    Raises:
        ValueError: it is none that ``decode_entry`` would take: too long, not finite, or of the wrong shape.
    """
    fields = [entry.kind, entry.issuer, entry.value, _milli(entry.before)]
    text = json.dumps(fields, separators=(",", ":"), allow_nan=False)
    expires = repr(_milli(entry.expires))
    if decode_entry(text.encode(), expires.encode()) is None:
        raise ValueError("no entry of the denylist: too long, or of the wrong shape")
    return text, expires


def decode_entry(text: object, expires: object, place: object = None) -> DenyEntry | None:
    """Return the entry of a text, an expiry and a place as the store gave them; None for anything else.

    A place that cannot be read is none: then time decides.
    """
    if not isinstance(text, bytes) or not isinstance(expires, bytes):
        return None
    if len(text) > MOST_TEXT or len(expires) > MOST_NUMBER:
        return None
    try:
        fields = json.loads(text)
        expiry = float(expires)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, list) or len(fields) != 4 or not _is_time(expiry):
        return None
    kind, issuer, value, before = fields
    if not (isinstance(kind, str) and isinstance(issuer, str) and isinstance(value, str)):
        return None
    if not _is_time(before) or not _is_shaped(kind, issuer, value):
        return None
    position = decode_place(place) if kind not in SINGLE else None
    return DenyEntry(cast("EntryKind", kind), issuer, value, float(before), expiry, position)


def encode_place(entry: DenyEntry) -> str:
    """Return what the script is told of an entry's place: ``new``, a place, or nothing where time decides."""
    if entry.position is None or entry.kind in SINGLE:
        return ""
    return "new" if entry.position == AS_WRITTEN else encode_position(entry.position)


def encode_position(position: Position | None) -> str:
    """Return a position as text, empty where there is none."""
    return "" if position is None else f"{position[0]} {position[1]}"


def decode_place(place: object) -> Position | None:
    """Return a place as the store gave it; None for anything else."""
    if not isinstance(place, bytes) or len(place) > MOST_EPOCH + MOST_NUMBER:
        return None
    epoch, _, seq = place.rpartition(b" ")
    count = decode_count(seq)
    return None if not epoch or count is None else (decode_epoch(epoch), count)


def decode_epoch(epoch: bytes) -> str:
    """Return the name of an epoch: the first of its random characters, enough to tell it from another."""
    return epoch[:_EPOCH_NAME].decode("latin-1")


def decode_change(fields: object) -> tuple[int | None, DenyEntry | None]:
    """Return seq and entry of one item of the log, each None where it is garbage."""
    if not isinstance(fields, list) or len(fields) % 2:
        return None, None
    try:
        members = dict(zip(fields[::2], fields[1::2], strict=True))
    except TypeError:
        return None, None
    entry = decode_entry(members.get(b"e"), members.get(b"x"), members.get(b"p"))
    return decode_count(members.get(b"s")), entry


def decode_count(value: object) -> int | None:
    """Return a count as the store gave it, or None."""
    if isinstance(value, bytes) and value.isdigit() and len(value) <= MOST_NUMBER:
        return int(value)
    return None


def _is_shaped(kind: str, issuer: str, value: str) -> bool:
    if kind == "all":
        return not value
    if kind in ("session", "key"):
        return bool(value) and not issuer
    return kind in _KINDS and bool(value) and bool(issuer)


def _is_time(value: Any) -> bool:  # noqa: ANN401 - whatever JSON may hold
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 1e12 and math.isfinite(value)


def _milli(seconds: float) -> float:
    return round(float(seconds), 3)
