-- One account's exact sliding window, as domain::rate says it.
--
-- KEYS[1]  a sorted set: one member a pass, its score the moment of acceptance in microseconds of this server's clock
-- ARGV[1]  the window in microseconds
-- then either   "check", the limit, the name of this pass
-- or            "merge", and pairs of a pass's age in microseconds and its name: passes that this server may not know of
--
-- check answers {allowed, remaining, reset after, retry after}, in microseconds; merge answers how many were new.
-- A name counts once, however often it comes.
local key, window, action = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function text(number) return string.format('%.0f', number) end
local function score_at(index)
  local found = redis.call('ZRANGE', key, index, index, 'WITHSCORES')
  return found[2] and tonumber(found[2])
end

-- The clock of a window never goes back. What is a little ahead is waited for by standing still; after a real step of the
-- server's clock the whole window moves with it, as if no time had passed.
local last = score_at(-1)
if last and last > now then
  if last - now > 1000000 then
    local back = last - now
    local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #members, 2 do
      redis.call('ZADD', key, text(tonumber(members[i + 1]) - back), members[i])
    end
    last = now
  else
    now = last
  end
end

-- Most checks find nothing that has left the window.
local first = last and score_at(0)
if first and first <= now - window then
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now - window))
  first = score_at(0)
end

local function keep() redis.call('PEXPIRE', key, text(math.ceil(window / 1000) + 2000)) end

if action == 'merge' then
  local new = 0
  for i = 3, #ARGV, 2 do
    local age = tonumber(ARGV[i])
    if age < window then
      new = new + redis.call('ZADD', key, 'NX', text(now - age), ARGV[i + 1])
    end
  end
  if new > 0 then keep() end
  return new
end

local limit, name = tonumber(ARGV[3]), ARGV[4]
local used = redis.call('ZCARD', key)
local allowed = used < limit
if allowed then
  redis.call('ZADD', key, text(now), name)
  -- Said once a second: the window is kept for a second or two longer than it is needed.
  if not first or math.floor(last / 1000000) < math.floor(now / 1000000) then keep() end
  used = used + 1
end
-- A limit that was lowered leaves more in the window than it allows: the one whose leaving makes room counts.
local reset = window
if limit > 0 then
  local index = allowed and 0 or used - limit
  local frees = index == 0 and (first or now) or score_at(index)
  reset = frees + window - now
end
return { allowed and 1 or 0, math.max(limit - used, 0), reset, allowed and 0 or reset }
