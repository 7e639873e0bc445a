-- Queue scheduled jobs that are due, and running ones whose lease ran out (as a crash), the earliest first.
-- KEYS[1] {prefix}   ARGV[1] now   ARGV[2] limit, for each of both
-- Returns how many came due, when to look again ('' for never), and the ids of those rescued. Rings if any moved.
-- include _job
-- include _unique
-- include _moves
-- include _ring
local now, limit = tonumber(ARGV[1]), ARGV[2]

local function next_moment()
  local due = redis.call('ZRANGE', SCHEDULED, 0, 0, 'WITHSCORES')[2]
  local lease = redis.call('ZRANGE', RUNNING, 0, 0, 'WITHSCORES')[2]
  due, lease = due and tonumber(due), lease and tonumber(lease)
  return due and lease and math.min(due, lease) or due or lease
end

local function rescue(id, job)
  local message = 'worker ' .. job[WORKER] .. ' stopped renewing its lease.'
  leave(id, job)
  note_failure(id, {job[FENCE], now, 'crash', 'WorkerLost', message, ''})
  job[CRASHES] = job[CRASHES] + 1
  if job[STOPPING] then
    job[REASON] = 'asked to stop'
    finish(id, job, 'c', now)
  else
    back(id, job, 'q', now)
  end
end

local function answer(due, moment, rescued)
  return {due, moment and string.format('%.0f', moment) or '', rescued}
end

local moment = next_moment()
if not moment or moment > now then return answer(0, moment, {}) end

-- (A job that someone deleted by hand is only taken out of its place.)
local due = redis.call('ZRANGEBYSCORE', SCHEDULED, '-inf', ARGV[1], 'LIMIT', 0, limit)
local rescued = redis.call('ZRANGEBYSCORE', RUNNING, '-inf', ARGV[1], 'LIMIT', 0, limit)
local jobs = load(due)
for _, id in ipairs(due) do
  local job = jobs[id]
  if job then
    leave(id, job)
    job[STATE] = 'q'
    enter(id, job)
  else
    take(SCHEDULED, id)
  end
end
jobs = load(rescued)
for _, id in ipairs(rescued) do
  if jobs[id] then rescue(id, jobs[id]) else take(RUNNING, id) end
end
if #due + #rescued > 0 then
  flush()
  ring()
end
moment = next_moment()
return answer(#due, moment and math.max(now, moment), rescued)
