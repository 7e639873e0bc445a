-- Forget ended jobs that were kept long enough or are too many in their queue; also keys and records that are over, and
-- some of the lines and gates that make no difference any more.
-- KEYS[1] {prefix}
-- ARGV[1] now   ARGV[2] limit   ARGV[3] done jobs to keep in each queue   ARGV[4] the same for failed and for cancelled
-- Returns how many jobs were forgotten, and whether (1 or 0) there is more to forget.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _rules
-- include _gate
-- include _gates
-- include _idle
local now = tonumber(ARGV[1])
local limit, most = tonumber(ARGV[2]), {d = tonumber(ARGV[3]), f = tonumber(ARGV[4]), c = tonumber(ARGV[4])}
local doomed = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', ARGV[1], 'LIMIT', 0, limit)
local seen = {}
for _, id in ipairs(doomed) do seen[id] = true end

-- Some of a queue's oldest may have expired too: only what is found on top of those counts towards the limit.
local function doom_oldest(state, queue, excess)
  for _, id in ipairs(redis.call('ZRANGE', ended_in(state, queue), 0, math.min(excess, limit) - 1)) do
    if #doomed >= limit then return end
    if not seen[id] then
      seen[id] = true
      doomed[#doomed + 1] = id
    end
  end
end

if limit > 0 then
  local counts = redis.call('HGETALL', COUNTS)
  for i = 1, #counts, 2 do
    local state, n = string.sub(counts[i], 1, 1), tonumber(counts[i + 1])
    if most[state] and n > most[state] then doom_oldest(state, string.sub(counts[i], 2), n - most[state]) end
  end
end

local jobs = load(doomed)
for _, id in ipairs(doomed) do
  if jobs[id] then leave(id, jobs[id]) else take(EXPIRY, id) end
  forget(id)
end
flush()

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
local more = forget_lines()
more = forget_gates(now) or more
forget_ages()
return {#doomed, (more or #keys == 1000 or #records == 1000) and 1 or 0}
