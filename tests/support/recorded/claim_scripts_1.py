"""The scripts of the refresh claim as the version before had them: what its workers run beside ours.

Keys, all with the hash tag of one claim, always in this order: ``claim`` (the fence number and a random
owner, for the length of the lease), ``result`` (the sealed new session), ``spent`` (the rotation is
confirmed: "1", or the store's time in ms where its result had not been stored yet), ``fence`` (a hash:
``n`` counts the claims; each claim whose call may still be out is a field of its own, the store's time in
ms; ``doubt`` tells that such a call never reported; ``verdict`` is how the refresh failed).
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
local owner, lease, keep, grace = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local result = redis.call('GET', KEYS[2])
if result then return {'stored', result} end
local spent = redis.call('GET', KEYS[3])
if spent then
  -- confirmed before its result could be stored: that may still come, within the grace
  local left = spent == '1' and 0 or spent + grace - now()
  if left > 0 then return {'wait', left} end
  return {'spent'}
end
local verdict = redis.call('HGET', KEYS[4], 'verdict')
if verdict then return {'verdict', verdict} end
local claim = redis.call('GET', KEYS[1])
if claim then
  local fence, holder = string.match(claim, '^(%d+) (.+)$')
  -- a repetition of this very command, whose first answer was lost
  if holder == owner then return {'claimed', fence} end
  return {'wait', redis.call('PTTL', KEYS[1])}
end
local fence = redis.call('HINCRBY', KEYS[4], 'n', 1)
redis.call('HSET', KEYS[4], fence, now())
redis.call('PEXPIRE', KEYS[4], keep)
redis.call('SET', KEYS[1], fence .. ' ' .. owner, 'PX', lease)
return {'claimed', tostring(fence)}
"""
)

RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

STORE = Script("""
local held, fence, sealed, idle, grace, channel, name = unpack(ARGV)
local spent = redis.call('GET', KEYS[3])
if not spent then
  redis.call('SET', KEYS[2], sealed, 'NX', 'PX', idle)
elseif spent ~= '1' then
  redis.call('SET', KEYS[2], sealed, 'NX', 'PX', grace)
  redis.call('SET', KEYS[3], '1', 'KEEPTTL')
end
-- spent and stored once already: a second result would give whoever kept the old token another grace
redis.call('HDEL', KEYS[4], fence, 'verdict')
if redis.call('GET', KEYS[1]) == held then redis.call('DEL', KEYS[1]) end
redis.call('PUBLISH', channel, name)
return redis.call('GET', KEYS[2]) or sealed
""")

RELEASE = Script("""
local held, fence, channel, name = unpack(ARGV)
redis.call('HDEL', KEYS[4], fence)
if redis.call('GET', KEYS[1]) == held then redis.call('DEL', KEYS[1]) end
redis.call('PUBLISH', channel, name)
return 1
""")

DOUBT = Script("""
local fence, keep = unpack(ARGV)
redis.call('HDEL', KEYS[4], fence)
redis.call('HSET', KEYS[4], 'doubt', 1)
redis.call('PEXPIRE', KEYS[4], keep)
return 1
""")

CONCLUDE = Script(
    _NOW
    + """
local held, fence, refusal, longest, keep, channel, name = unpack(ARGV)
local function finish(verdict)
  redis.call('HSET', KEYS[4], 'verdict', verdict)
  redis.call('PEXPIRE', KEYS[4], keep)
  if redis.call('GET', KEYS[1]) == held then redis.call('DEL', KEYS[1]) end
  redis.call('PUBLISH', channel, name)
  return {'verdict', verdict}
end
local settled = redis.call('HDEL', KEYS[4], fence)
local result = redis.call('GET', KEYS[2])
if result then return {'stored', result} end
if redis.call('HGET', KEYS[4], 'n') ~= fence then
  -- whoever holds the claim now may be waiting for exactly this call
  if settled == 1 then redis.call('PUBLISH', channel, name) end
  return {'superseded'}
end
local at, doubted, left = now(), false, 0
local fields = redis.call('HGETALL', KEYS[4])
for i = 1, #fields, 2 do
  if fields[i] == 'doubt' then
    doubted = true
  elseif tonumber(fields[i]) then
    doubted = true
    local open = fields[i + 1] + longest - at
    if open > left then left = open end
    if open <= 0 then
      redis.call('HDEL', KEYS[4], fields[i])
      redis.call('HSET', KEYS[4], 'doubt', 1)
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
local remembered, grace = tonumber(ARGV[1]), tonumber(ARGV[2])
local left = redis.call('PTTL', KEYS[3])
if left == -2 then
  local stored = redis.call('EXISTS', KEYS[2]) == 1
  redis.call('SET', KEYS[3], stored and '1' or now(), 'PX', remembered)
elseif left < remembered then
  redis.call('PEXPIRE', KEYS[3], remembered)
end
for _, key in ipairs({KEYS[2], KEYS[4]}) do
  if redis.call('PTTL', key) > grace then redis.call('PEXPIRE', key, grace) end
end
return 1
"""
)
