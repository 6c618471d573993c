"""How the denylist is kept in the store: its scripts, and its entries as text.

Keys, all with one hash tag, always in this order: ``epoch`` (random, drawn with the first use: another one
means that the store lost its data), ``seq`` (counts the changes), ``entries`` (a sorted set: an entry's
text with its expiry as the score), ``log`` (a stream of the latest changes: ``s`` the seq, ``e`` the text,
``x`` the expiry), ``workers`` (a sorted set: when each was last heard of, the store's time in ms),
``applied`` (a hash: the seq that each has applied).
"""

import json
import math
from typing import Any, cast, get_args

from gateway.core.model import DenyEntry, EntryKind
from gateway.edge.store import Script

KEYS = ("epoch", "seq", "entries", "log", "workers", "applied")
TAG = "{denylist}"
MOST_TEXT = 16_384
MOST_NUMBER = 32
_KINDS = frozenset(get_args(EntryKind))

SYNCHRONISE = Script("""
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local last = '0-0'
if redis.call('EXISTS', KEYS[4]) == 1 then
  local about = redis.call('XINFO', 'STREAM', KEYS[4])
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then last = about[i + 1] end
  end
end
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) or '0', last}
""")

# an entry that is there already changes nothing, so repeating is free; expired ones go by the store's own
# clock, with a margin for the workers' clocks
WRITE = Script("""
local most, margin = ARGV[1], ARGV[2]
redis.call('SET', KEYS[1], ARGV[3], 'NX')
for i = 4, #ARGV, 2 do
  if redis.call('ZADD', KEYS[3], 'GT', 'CH', ARGV[i + 1], ARGV[i]) == 1 then
    local seq = redis.call('INCR', KEYS[2])
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', most, '*', 's', seq, 'e', ARGV[i], 'x', ARGV[i + 1])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', redis.call('TIME')[1] - margin)
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) or '0'}
""")

BEAT = Script("""
local worker, applied, forget = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[5], at, worker)
redis.call('HSET', KEYS[6], worker, applied)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', at - forget)) do
  redis.call('ZREM', KEYS[5], gone)
  redis.call('HDEL', KEYS[6], gone)
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


def decode_entry(text: object, expires: object) -> DenyEntry | None:
    """Return the entry of a text and an expiry as the store gave them; None for anything else."""
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
    return DenyEntry(cast("EntryKind", kind), issuer, value, float(before), expiry)


def decode_change(fields: object) -> tuple[int | None, DenyEntry | None]:
    """Return seq and entry of one item of the log, each None where it is garbage."""
    if not isinstance(fields, list) or len(fields) % 2:
        return None, None
    try:
        members = dict(zip(fields[::2], fields[1::2], strict=True))
    except TypeError:
        return None, None
    return decode_count(members.get(b"s")), decode_entry(members.get(b"e"), members.get(b"x"))


def decode_count(value: object) -> int | None:
    """Return a count as the store gave it, or None."""
    if isinstance(value, bytes) and value.isdigit() and len(value) <= MOST_NUMBER:
        return int(value)
    return None


def _is_shaped(kind: str, issuer: str, value: str) -> bool:
    if kind == "all":
        return not value
    if kind == "session":
        return bool(value) and not issuer
    return kind in _KINDS and bool(value) and bool(issuer)


def _is_time(value: Any) -> bool:  # noqa: ANN401 - whatever JSON may hold
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 1e12 and math.isfinite(value)


def _milli(seconds: float) -> float:
    return round(float(seconds), 3)
