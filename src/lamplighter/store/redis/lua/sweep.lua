-- Queue scheduled jobs that are due, and running ones whose lease ran out (as a crash), the earliest first; let go held ones
-- whose children are settled, or let them fail, the oldest first.
-- KEYS[1] {prefix}   ARGV[1] now   ARGV[2] limit, for each of these
-- Returns how many came due or were let go, when to look again ('' for never), and the ids of those rescued, and of those
-- that failed. Rings if any moved.
-- include _job
-- include _unique
-- include _children
-- include _moves
-- include _ring
local now, limit = tonumber(ARGV[1]), ARGV[2]

local function next_moment()
  if redis.call('ZCARD', SETTLED) > 0 then return now end
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

-- Fail for the oldest child that came to no good end, and be kept as long as that one.
local function fail_for(lost, id, job)
  local child = lost and load({lost})[lost]
  job[REASON] = 'a child of it, now forgotten, failed'
  if child then
    job[REASON] = 'its child ' .. lost .. (child[STATE] == 'f' and ' failed' or ' was cancelled')
    job[KEEP_UNTIL] = child[KEEP_UNTIL]
  end
  leave(id, job)
  finish(id, job, 'f', now)
end

local function let_go(id, job)
  leave(id, job)
  job[STATE], job[RUN_AT] = job[RUN_AT] <= now and 'q' or 's', math.max(job[RUN_AT], now)
  enter(id, job)
end

local function answer(due, moment, rescued, failed)
  return {due, moment and string.format('%.0f', moment) or '', rescued, failed}
end

local moment = next_moment()
if not moment or moment > now then return answer(0, moment, {}, {}) end

local settled, failed, n_due = redis.call('ZRANGEBYLEX', SETTLED, '-', '+', 'LIMIT', 0, limit), {}, 0
local held = load(settled)
for _, id in ipairs(settled) do
  local job = held[id]
  if not job then
    take(HELD, id)
    take(SETTLED, id)
  elseif judged(id) then
    failed[#failed + 1] = id
    fail_for(redis.call('ZRANGE', lost_of(id), 0, 0)[1], id, job)
  else
    let_go(id, job)
    if job[STATE] == 'q' then n_due = n_due + 1 end
  end
end

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
if #settled + #due + #rescued > 0 then
  flush()
  settle_up()
  ring()
end
moment = next_moment()
return answer(n_due + #due, moment and math.max(now, moment), rescued, failed)
