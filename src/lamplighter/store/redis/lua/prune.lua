-- Forget ended jobs that were kept long enough or are too many in their queue; also keys and records that are over, and
-- some of the lines and gates that make no difference any more.
-- Children of a live job are spared. So that they are not looked at again and again, those past their time are put
-- aside until that job ends; and of a queue's oldest, a cursor remembers up to where they were passed over.
-- KEYS[1] {prefix}
-- ARGV[1] now   ARGV[2] limit   ARGV[3] done jobs to keep in each queue   ARGV[4] the same for failed and for cancelled
-- ARGV[5] 1 to begin with the oldest, 0 to go on
-- Returns how many jobs were forgotten, and whether (1 or 0) there is more to look at, whatever it is.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _children
local now = tonumber(ARGV[1])
local limit, most = tonumber(ARGV[2]), {d = tonumber(ARGV[3]), f = tonumber(ARGV[4]), c = tonumber(ARGV[4])}
local PASSED_OVER = base .. ':passed_over'  -- hash: state letter and queue -> the last of its jobs that was looked at
local STRETCH = 1000  -- jobs that are looked at, in each of these ways, before others have their turn
local doomed, seen, more, jobs = {}, {}, false, {}

local function is_spared(job)
  return job[GROUP] and redis.call('ZSCORE', LIVE, job[GROUP])
end

local function doom(id)
  seen[id] = true
  doomed[#doomed + 1] = id
end

-- Bring back what was put aside for jobs that have ended meanwhile.
local function bring_back()
  for _, id in ipairs(redis.call('SRANDMEMBER', RELEASED, 100)) do
    local spared = redis.call('ZRANGE', spared_of(id), 0, STRETCH - 1, 'WITHSCORES')
    if #spared == 0 or redis.call('ZSCORE', LIVE, id) then
      redis.call('SREM', RELEASED, id)
    else
      for i = 1, #spared, 2 do redis.call('ZADD', EXPIRY, spared[i + 1], spared[i]) end
      redis.call('ZREMRANGEBYRANK', spared_of(id), 0, #spared / 2 - 1)
    end
    more = true
    if #spared == STRETCH * 2 then return end
  end
end

local function doom_expired()
  local expired = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', ARGV[1], 'LIMIT', 0, limit)
  jobs = load(expired)
  for _, id in ipairs(expired) do
    local job = jobs[id]
    if job and is_spared(job) then
      redis.call('ZREM', EXPIRY, id)
      redis.call('ZADD', spared_of(job[GROUP]), job[KEEP_UNTIL], id)
      more = true
    else
      doom(id)
    end
  end
end

-- Of a queue's oldest, that many too many. Some may have expired too: only what is found on top of those counts towards
-- the limit.
local function doom_oldest(field, excess)
  local oldest = ended_in(string.sub(field, 1, 1), string.sub(field, 2))
  local passed = redis.call('HGET', PASSED_OVER, field)
  local first = 0
  if passed then
    first = redis.call('ZCOUNT', oldest, '-inf', '+inf') - redis.call('ZLEXCOUNT', oldest, '(' .. passed, '+')
  end
  local ids = redis.call('ZRANGE', oldest, first, math.min(excess, first + STRETCH) - 1)
  if first >= excess or #ids == 0 then return end
  local found = load(ids)
  for _, id in ipairs(ids) do
    if #doomed >= limit then return end
    local job = found[id]
    if job and is_spared(job) then
      redis.call('HSET', PASSED_OVER, field, id)
      more = more or first + #ids < excess
    elseif not seen[id] then
      jobs[id] = job
      doom(id)
    end
  end
end

if ARGV[5] == '1' then redis.call('DEL', PASSED_OVER) end  -- or who was interrupted would have left it
if limit > 0 then
  bring_back()
  doom_expired()
  local counts = redis.call('HGETALL', COUNTS)
  for i = 1, #counts, 2 do
    local state, n = string.sub(counts[i], 1, 1), tonumber(counts[i + 1])
    if most[state] and n > most[state] then doom_oldest(counts[i], n - most[state]) end
  end
end

for _, id in ipairs(doomed) do
  if jobs[id] then
    leave(id, jobs[id])
    forget_relations(id, jobs[id])
  else
    take(EXPIRY, id)
  end
  forget(id)
end
flush()
if not more then redis.call('DEL', PASSED_OVER) end

local keys = redis.call('ZRANGEBYSCORE', base .. ':periods', '-inf', ARGV[1], 'LIMIT', 0, 1000)
for _, key in ipairs(keys) do
  redis.call('HDEL', base .. ':unique', key)
  redis.call('ZREM', base .. ':periods', key)
end
local records = redis.call('ZRANGEBYSCORE', base .. ':fading', '-inf', ARGV[1], 'LIMIT', 0, 1000)
for _, member in ipairs(records) do
  local kind, name = cmsgpack.unpack(member)
  redis.call('HDEL', base .. ':records:' .. kind, name)
  redis.call('ZREM', base .. ':fading', member)
end

-- In a function of its own, for Lua knows no more than 200 names in one. Returns whether there is more of it.
local function forget_idle()
  -- include _rules
  -- include _gate
  -- include _gates
  -- include _idle
  local lines, gates = forget_lines(), forget_gates(now)
  forget_ages()
  return lines or gates
end
more = forget_idle() or more
return {#doomed, (more or #keys == 1000 or #records == 1000) and 1 or 0}
