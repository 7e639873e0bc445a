-- Take the most urgent queued jobs for a worker, each under a new fence.
-- KEYS[1] {prefix}
-- ARGV[1] now   ARGV[2] limit   ARGV[3] worker   ARGV[4] until when its lease holds   ARGV[5...] queues (none: all)
-- Returns pairs of an id and the job as msgpack, the most urgent first.
-- include _job
-- include _unique
local now, wanted, worker, lease_until = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local ids, heads = {}, HEADS

local function start_from(queue, found)
  local n = #found / 2
  for i = 1, n do ids[#ids + 1] = string.sub(found[i * 2 - 1], 17) end
  touched[queue] = true
  count('q', queue, -n)
  count('r', queue, n)
end

if #ARGV == 5 then
  if redis.call('HEXISTS', HEAD_OF, ARGV[5]) == 0 then return {} end  -- it is empty, or paused
  start_from(ARGV[5], redis.call('ZPOPMIN', line(ARGV[5]), wanted))
  wanted = 0
elseif #ARGV > 5 then  -- their heads are copied, to be taken in order like those of all queues
  local members = {}
  for _, member in ipairs(redis.call('HMGET', HEAD_OF, unpack(ARGV, 5))) do
    if member then members[#members + 1] = member end
  end
  if #members == 0 then return {} end
  heads = base .. ':claiming'
  local scores = redis.call('ZMSCORE', HEADS, unpack(members))
  for i, member in ipairs(members) do redis.call('ZADD', heads, scores[i], member) end
end

-- Those of the places found, each followed by its score, that come before a head; the first does anyway. Of equal moments
-- the ids decide, and those only Redis compares by their bytes: such a job waits until it is at the head itself.
local function before(found, score, member)
  local moment, n = string.sub(member, 1, 16), 1
  score = tonumber(score)
  while found[n * 2 + 1] do
    local its = tonumber(found[n * 2 + 2])
    if its > score or its == score and string.sub(found[n * 2 + 1], 1, 16) >= moment then break end
    n = n + 1
  end
  return {unpack(found, 1, n * 2)}
end

local burst = 8
while #ids < wanted do
  local two = redis.call('ZRANGE', heads, 0, 1, 'WITHSCORES')
  if #two == 0 then break end
  local queue = queue_of(two[1])
  if two[3] then
    local found = redis.call('ZRANGE', line(queue), 0, math.min(wanted - #ids, burst) - 1, 'WITHSCORES')
    found = before(found, two[4], two[3])
    burst = #found == burst * 2 and math.min(burst * 2, 1000) or burst
    redis.call('ZREMRANGEBYRANK', line(queue), 0, #found / 2 - 1)
    start_from(queue, found)
  else
    start_from(queue, redis.call('ZPOPMIN', line(queue), wanted - #ids))
  end
  redis.call('ZREM', heads, two[1])
  local next = redis.call('ZRANGE', line(queue), 0, 0, 'WITHSCORES')
  if next[1] then redis.call('ZADD', heads, next[2], head(next[1], queue)) end
end
if heads ~= HEADS then redis.call('DEL', heads) end

local jobs, claimed = load(ids), {}
for _, id in ipairs(ids) do
  local job = jobs[id]
  if job then  -- or the server evicted it
    if job[MODE] == 'pending' then let_go(id, job) end
    job[STATE], job[FENCE], job[WORKER], job[PROGRESS] = 'r', job[FENCE] + 1, worker, nil
    job[STARTED_AT], job[LEASE_UNTIL] = now, lease_until
    put(RUNNING, ARGV[4], id)
    claimed[#claimed + 1] = id
    claimed[#claimed + 1] = save(id, job)
  end
end
flush()
return claimed
