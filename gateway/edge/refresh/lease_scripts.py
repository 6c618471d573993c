"""The scripts of the refresh lease: each step of the protocol is one of them, and so is atomic.

Keys, all with the hash tag of one rotation, always in this order: ``claim`` (the fence number and a random
owner, for the length of the lease), ``result`` (the sealed new session), ``spent`` (the rotation is
confirmed: "1", or the store's time in ms where its result had not been stored yet), ``fence`` (a hash:
``n`` counts the leases; each lease whose call may still be out is a field of its own, the store's time in
ms; ``doubt`` tells that such a call never reported; ``verdict`` is how the refresh failed).

The version before named a rotation without its session. For this one version such a rotation has eight
keys: after its own four those under the former name, which it shares with whatever session has the same
refresh token. Both are leased, renewed, stored and confirmed in one script, so that workers of both versions
make one token call together. A result under the former name counts for the session that is in it alone, which
only the caller can see: ``alone`` tells that it is another's. A ``spent`` of this version under the former
name is a number below one, which the version before takes for spent long ago, and which says whose it is.
Cookies have the former name, so the version before confirms our rotations, too: under that name alone, which
counts for our result where both names have the same.
"""

from gateway.edge.store.store import Script

_NOW = """
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

ACQUIRE = Script(
    _NOW
    + """
local owner, lease, keep, grace, mark, alone = unpack(ARGV)
local function judge_spent(spent)
  -- confirmed before its result could be stored: that may still come, within the grace
  local left = tonumber(spent) <= 1 and 0 or spent + grace - now()
  if left > 0 then return {'wait', left} end
  return {'spent'}
end
local result = redis.call('GET', KEYS[2])
local spent = redis.call('GET', KEYS[3])
local former = KEYS[5] and redis.call('GET', KEYS[6])
local theirs = KEYS[5] and redis.call('GET', KEYS[7])
if result then
  if spent then return {'stored', result} end
  if theirs and tonumber(theirs) >= 1 and (not former or former == result) then
    -- the version before has confirmed it, under the name that it knows: it lives as long as there
    redis.call('SET', KEYS[3], '1', 'PX', math.max(1, redis.call('PTTL', KEYS[7])))
    if not former then
      redis.call('DEL', KEYS[2])
      return {'spent'}
    end
    keep = math.max(1, redis.call('PTTL', KEYS[6]))
  end
  -- whoever stores no cookies comes this way each time, for as long as the session is in use
  redis.call('PEXPIRE', KEYS[2], keep)
  return {'stored', result}
end
-- before what is spent: a rotation of the version before has its result under the former name alone
if former and alone ~= '1' then return {'former', former} end
if spent then return judge_spent(spent) end
if theirs and alone ~= '1' and (theirs == mark or tonumber(theirs) >= 1) then return judge_spent(theirs) end
local fence = 0
for first = 1, #KEYS, 4 do
  local verdict = redis.call('HGET', KEYS[first + 3], 'verdict')
  if verdict then return {'verdict', verdict} end
  local lease_of = redis.call('GET', KEYS[first])
  if lease_of then
    local number, holder = string.match(lease_of, '^(%d+) (.+)$')
    -- a repetition of this very command, whose first answer was lost
    if holder == owner then return {'leased', number} end
    return {'wait', redis.call('PTTL', KEYS[first])}
  end
  fence = math.max(fence, tonumber(redis.call('HGET', KEYS[first + 3], 'n') or 0))
end
fence = string.format('%d', fence + 1)
for first = 1, #KEYS, 4 do
  redis.call('HSET', KEYS[first + 3], 'n', fence, fence, now())
  redis.call('PEXPIRE', KEYS[first + 3], keep)
  redis.call('SET', KEYS[first], fence .. ' ' .. owner, 'PX', lease)
end
return {'leased', fence}
"""
)

RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for first = 1, #KEYS, 4 do
  if redis.call('GET', KEYS[first]) == ARGV[1] then redis.call('PEXPIRE', KEYS[first], ARGV[2]) end
end
return 1
""")

_LET_GO = """
local function let_go(held)
  for first = 1, #KEYS, 4 do
    if redis.call('GET', KEYS[first]) == held then redis.call('DEL', KEYS[first]) end
  end
end
local function tell(channel, name)
  redis.call('PUBLISH', channel, name)
  -- the version before knows it by its former name
  if KEYS[5] then redis.call('PUBLISH', channel, string.match(name, '^[^.]+')) end
end
"""

STORE = Script(
    _LET_GO
    + """
local held, fence, sealed, idle, grace, channel, name = unpack(ARGV)
for first = 1, #KEYS, 4 do
  local result, spent = KEYS[first + 1], redis.call('GET', KEYS[first + 2])
  if not spent then
    redis.call('SET', result, sealed, 'NX', 'PX', idle)
  elseif tonumber(spent) > 1 then
    redis.call('SET', result, sealed, 'NX', 'PX', grace)
    redis.call('SET', KEYS[first + 2], '1', 'KEEPTTL')
  end
  -- spent and stored once already: a second result would give whoever kept the old token another grace
  redis.call('HDEL', KEYS[first + 3], fence, 'verdict')
end
let_go(held)
tell(channel, name)
redis.call('PUBLISH', channel, name .. ' made')
return redis.call('GET', KEYS[2]) or sealed
"""
)

RESULT = Script("return redis.call('GET', KEYS[2]) or (KEYS[6] and redis.call('GET', KEYS[6]))")

TELL = Script("return redis.call('PUBLISH', ARGV[1], ARGV[2])")

RELEASE = Script(
    _LET_GO
    + """
local held, fence, channel, name = unpack(ARGV)
for first = 1, #KEYS, 4 do redis.call('HDEL', KEYS[first + 3], fence) end
let_go(held)
tell(channel, name)
return 1
"""
)

DOUBT = Script("""
local fence, keep = unpack(ARGV)
for first = 1, #KEYS, 4 do
  redis.call('HDEL', KEYS[first + 3], fence)
  redis.call('HSET', KEYS[first + 3], 'doubt', 1)
  redis.call('PEXPIRE', KEYS[first + 3], keep)
end
return 1
""")

CONCLUDE = Script(
    _NOW
    + _LET_GO
    + """
local held, fence, refusal, longest, keep, channel, name, alone = unpack(ARGV)
local function finish(verdict)
  for first = 1, #KEYS, 4 do
    redis.call('HSET', KEYS[first + 3], 'verdict', verdict)
    redis.call('PEXPIRE', KEYS[first + 3], keep)
  end
  let_go(held)
  tell(channel, name)
  return {'verdict', verdict}
end
local settled, is_ours = 0, true
for first = 1, #KEYS, 4 do
  settled = settled + redis.call('HDEL', KEYS[first + 3], fence)
  is_ours = is_ours and redis.call('HGET', KEYS[first + 3], 'n') == fence
end
local result = redis.call('GET', KEYS[2])
if result then return {'stored', result} end
if KEYS[5] and alone ~= '1' and redis.call('EXISTS', KEYS[6]) == 1 then
  -- a late success of the version before, if it is of this session: ACQUIRE shows it
  let_go(held)
  tell(channel, name)
  return {'superseded'}
end
if not is_ours then
  -- whoever holds the lease now may be waiting for exactly this call
  if settled > 0 then tell(channel, name) end
  return {'superseded'}
end
local at, doubted, left = now(), false, 0
for first = 1, #KEYS, 4 do
  local fields = redis.call('HGETALL', KEYS[first + 3])
  for i = 1, #fields, 2 do
    if fields[i] == 'doubt' then
      doubted = true
    elseif tonumber(fields[i]) then
      doubted = true
      local open = fields[i + 1] + longest - at
      if open > left then left = open end
      if open <= 0 then
        redis.call('HDEL', KEYS[first + 3], fields[i])
        redis.call('HSET', KEYS[first + 3], 'doubt', 1)
      end
    end
  end
end
if not doubted then return finish('ended ' .. refusal) end
if left <= 0 then return finish('lost') end
return {'doubt', left}
"""
)

CONFIRM = Script(
    _NOW
    + """
local remembered, grace, mark = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
for first = 1, #KEYS, 4 do
  local spent = KEYS[first + 2]
  local left = redis.call('PTTL', spent)
  if left == -2 then
    local stored = redis.call('EXISTS', KEYS[first + 1]) + (KEYS[5] and redis.call('EXISTS', KEYS[6]) or 0)
    local value = stored > 0 and '1' or now()
    if first > 1 then value = mark end
    redis.call('SET', spent, value, 'PX', remembered)
  elseif left < remembered then
    redis.call('PEXPIRE', spent, remembered)
  end
  for _, key in ipairs({KEYS[first + 1], KEYS[first + 3]}) do
    if redis.call('PTTL', key) > grace then redis.call('PEXPIRE', key, grace) end
  end
end
return 1
"""
)

# of a session that several sites have, each site shows its own cookie: what one of them has left behind,
# another may show for the first time
LEAVE = Script(
    _NOW
    + """
if not redis.call('SET', KEYS[1], now(), 'NX', 'PX', ARGV[1]) then
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
end
return 1
"""
)

WAS_LEFT = Script(
    _NOW
    + """
local at = redis.call('GET', KEYS[1])
return at and now() - at > tonumber(ARGV[1]) and 1 or 0
"""
)
