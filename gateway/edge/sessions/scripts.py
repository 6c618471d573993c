"""How sessions are kept in the store: the scripts, each of which touches the keys of one hash tag.

``session:{record}`` is a hash: ``b`` the sealed session, ``s`` when it was last seen, ``o`` that it was
revoked. It shares its hash tag with the lease of its rotation, whose name is the record's. ``listed:{session
id}`` is a hash: ``m`` what the list shows, sealed; ``s`` when it was last seen; ``r`` the names of its
records; ``t`` the sites where it has begun; ``p`` the place in the denylist's history where it began.
``sessions:{...}:index`` are sorted sets of session ids, by when they idle out. Times are epoch seconds,
lifetimes milliseconds.
"""

from gateway.edge.store.store import Script

LOOK_UP = Script("""
local body, seen, over = unpack(redis.call('HMGET', KEYS[1], 'b', 's', 'o'))
local spent = redis.call('GET', KEYS[2]) == '1' and redis.call('EXISTS', KEYS[3]) == 0
return {body or '', seen or '0', spent and 1 or 0, over and 1 or 0}
""")

# nothing is left of a revoked session but that it was revoked, until it would have idled out
OVER = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[1], 'b')
redis.call('HSET', KEYS[1], 'o', '1')
return 1
""")

# a record is written once: whoever follows a rotation's result finds it there; a repetition of the very same
# command, whose first answer was lost, is still the first
KEEP = Script("""
local body, over = unpack(redis.call('HMGET', KEYS[1], 'b', 'o'))
if over then return 0 end
if body then return body == ARGV[1] and 1 or 0 end
redis.call('HSET', KEYS[1], 'b', ARGV[1], 's', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")

# what is there was seen at a time, and lives on from then, where that is later than what is known
_SEEN = """
local function seen(at, life)
  if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
  if (tonumber(redis.call('HGET', KEYS[1], 's') or '') or 0) < tonumber(at) then
    redis.call('HSET', KEYS[1], 's', at)
  end
  if redis.call('PTTL', KEYS[1]) < tonumber(life) then redis.call('PEXPIRE', KEYS[1], life) end
  return 1
end
"""

TOUCH = Script(_SEEN + "return seen(ARGV[1], ARGV[2])")

RETIRE = Script("""
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1
""")

LIST = Script("""
redis.call('HSET', KEYS[1], 'm', ARGV[1], 's', ARGV[2], 'r', ARGV[3])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'p', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 't', ARGV[6]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
""")

# what is known of it stays: a refresh knows nothing of the browser; without a site none is added
NOTE = Script("""
local function once(field, value)
  if not redis.call('HGET', KEYS[1], field) then redis.call('HSET', KEYS[1], field, value) end
end
once('m', ARGV[1])
if (tonumber(redis.call('HGET', KEYS[1], 's') or '') or 0) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 's', ARGV[2])
end
if ARGV[4] ~= '' then once('p', ARGV[4]) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if ARGV[5] == '' then return 1 end
local count, told = 0, redis.call('HGET', KEYS[1], 't') or ''
for each in string.gmatch(told, '[^ ]+') do
  if each == ARGV[5] then return 1 end
  count = count + 1
end
if count < tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[1], 't', told == '' and ARGV[5] or told .. ' ' .. ARGV[5])
end
return 1
""")

# only of what is on the list, which goes by itself
CALL = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'n', ARGV[1])
return 1
""")

JOIN = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local count, told = 0, redis.call('HGET', KEYS[1], 't') or ''
for each in string.gmatch(told, '[^ ]+') do
  if each == ARGV[1] then return 0 end
  count = count + 1
end
if count >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 't', told == '' and ARGV[1] or told .. ' ' .. ARGV[1])
return 1
""")

# an empty list of records leaves them as they are
UPDATE = Script(
    _SEEN
    + """
local found = seen(ARGV[1], ARGV[3])
if found == 1 and ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'r', ARGV[2]) end
return found
"""
)

# what has idled out goes by the store's own clock, with a margin for the workers' clocks; of more than the
# fifth argument says, where there is one, those go that idle out first
INDEX = Script("""
local id, score, life, margin = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZADD', KEYS[1], score, id)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1] - margin)
if ARGV[5] then
  local every = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '+inf')
  for place = 1, #every - tonumber(ARGV[5]) do redis.call('ZREM', KEYS[1], every[place]) end
end
if redis.call('PTTL', KEYS[1]) < life then redis.call('PEXPIRE', KEYS[1], life) end
return 1
""")

COUNT = Script("""
return #redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')
""")

# never brings back what was taken out
REINDEX = Script("""
local id, score, life = ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], 'XX', 'GT', score, id)
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < life then redis.call('PEXPIRE', KEYS[1], life) end
return 1
""")
