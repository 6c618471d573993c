"""How the audit trail is kept in the store: the scripts, all of whose keys share one hash tag.

``{audit}:log`` is a stream of entries, each without what is personal; ``{audit}:who`` is a hash: by an
entry's place its personal part, sealed, behind the names of its index, or after ``!`` the signed mark that it
was forgotten. ``{audit}:by`` is the index, a sorted set ordered by its members: a name that tells nobody
anything, and a place. ``{audit}:heads`` and ``{audit}:firsts`` anchor the chains: their last entries, and
the first that is left of each. What is given up goes from all of them at once.
"""

from typing import Final

from gateway.edge.store.store import Script

# a place in the index: of one length, so that members are in order
_PLACE: Final = """
local function place(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return string.format('%013d-%08d', tonumber(ms), tonumber(n))
end
"""

# KEYS: log, who, by, heads, firsts. ARGV: chain, head before, head after, how long all of it lives on without
# another entry, in ms; then entry, who, names for each. Returns how many entries there are; -1 where the
# chain is not as it was left.
APPEND: Final = Script(
    _PLACE
    + """
local chain, before, after = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local head = tonumber(string.match(redis.call('HGET', KEYS[4], chain) or '0', '^%d+') or '0')
-- a repetition of the very same command, whose first answer was lost, is done already
if head == tonumber(string.match(after, '^%d+')) then return redis.call('XLEN', KEYS[1]) end
if head ~= before then return -1 end
for at = 5, #ARGV, 3 do
  local id = redis.call('XADD', KEYS[1], '*', 'e', ARGV[at])
  redis.call('HSET', KEYS[2], id, ARGV[at + 1])
  for name in string.gmatch(ARGV[at + 2], '%S+') do
    redis.call('ZADD', KEYS[3], 0, name .. ':' .. place(id))
  end
end
redis.call('HSET', KEYS[4], chain, after)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
return redis.call('XLEN', KEYS[1])
"""
)

# a personal part begins with the names of its index
_UNLIST: Final = (
    _PLACE
    + """
local function unlist(id)
  local who = redis.call('HGET', KEYS[2], id)
  if not who or string.sub(who, 1, 1) == '!' then return end
  for name in string.gmatch(string.match(who, '^([^|]*)|') or '', '%S+') do
    redis.call('ZREM', KEYS[3], name .. ':' .. place(id))
  end
end
"""
)

# KEYS: log, who, by, firsts. ARGV: how many chains, then chain and signed first for each, then places.
TRIM: Final = Script(
    _UNLIST
    + """
local chains = tonumber(ARGV[1])
for at = 2, 2 * chains, 2 do
  local known = tonumber(string.match(redis.call('HGET', KEYS[4], ARGV[at]) or '0', '^%d+') or '0')
  if known < tonumber(string.match(ARGV[at + 1], '^%d+')) then
    redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
  end
end
for at = 2 * chains + 2, #ARGV do
  unlist(ARGV[at])
  redis.call('HDEL', KEYS[2], ARGV[at])
  redis.call('XDEL', KEYS[1], ARGV[at])
end
return redis.call('XLEN', KEYS[1])
"""
)

# KEYS: log, who, by. ARGV: place and mark for each. Returns how many were forgotten by this.
FORGET: Final = Script(
    _UNLIST
    + """
local count = 0
for at = 1, #ARGV, 2 do
  local who = redis.call('HGET', KEYS[2], ARGV[at])
  if who and string.sub(who, 1, 1) ~= '!' then
    unlist(ARGV[at])
    redis.call('HSET', KEYS[2], ARGV[at], '!' .. ARGV[at + 1])
    count = count + 1
  end
end
return count
"""
)

# KEYS: log, who. ARGV: the newest and the oldest place, and how many at most. Places, entries, personal parts
NEWEST: Final = Script("""
local found, told = redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3]), {}
for _, each in ipairs(found) do
  told[#told + 1] = {each[1], each[2][2] or '', redis.call('HGET', KEYS[2], each[1]) or ''}
end
return told
""")

# the same from the oldest on
OLDEST: Final = Script("""
local found, told = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3]), {}
for _, each in ipairs(found) do
  told[#told + 1] = {each[1], each[2][2] or '', redis.call('HGET', KEYS[2], each[1]) or ''}
end
return told
""")

# KEYS: log, who, by. ARGV: the greatest and the least member, how many at most, and how long they are
# before the place. What is listed and gone is told as empty.
NAMED: Final = Script("""
local told = {}
for _, member in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[3], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
  local ms, n = string.match(string.sub(member, tonumber(ARGV[4]) + 1), '^0*(%d+)%-0*(%d+)$')
  local id = (ms or '0') .. '-' .. (n or '0')
  local found = redis.call('XRANGE', KEYS[1], id, id)
  local entry = found[1] and found[1][2][2] or ''
  told[#told + 1] = {id, entry, redis.call('HGET', KEYS[2], id) or ''}
end
return told
""")
