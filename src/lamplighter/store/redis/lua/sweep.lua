-- Let go held jobs whose children are settled, or let them fail, the oldest first; queue scheduled jobs that are due,
-- and running ones whose lease ran out (as a crash), the earliest first; and let go who waits before a gate that has
-- room.
-- KEYS[1] {prefix}   ARGV[1] now   ARGV[2] limit, for each but the last
-- Returns how many came due or were held until now, how many jobs gates let go, when to look again ('' for never), the
-- ids of those rescued, and of those that failed, and of breakers that turned since the last sweep pairs of a key and
-- whether (1 or 0) it is open. Rings if anything changed.
-- include _job
local now, limit = tonumber(ARGV[1]), ARGV[2]

-- When there is something to do that only time, or what has changed, brings about.
local function next_moment()
  if redis.call('EXISTS', base .. ':untold', base .. ':changed', SETTLED) > 0 then return now end
  local moment
  for _, name in ipairs({':scheduled', ':running', ':look_at'}) do
    local first = tonumber(redis.call('ZRANGE', base .. name, 0, 0, 'WITHSCORES')[2])
    moment = moment and first and math.min(moment, first) or moment or first
  end
  return moment
end

local function answer(due, gone, moment, rescued, failed, told)
  return {due, gone, moment and string.format('%.0f', moment) or '', rescued, failed, told}
end

local moment = next_moment()
if not moment or moment > now then return answer(0, 0, moment, {}, {}, {}) end

-- include _lines
-- include _waits
-- include _places
-- include _unique
-- include _children
-- include _moves
-- include _ring

-- What there is to do about limits: in a function of its own, for Lua knows no more than 200 names in one.
local function with_limits()
  -- include _rules
  -- include _gate
  -- include _gates
  -- include _ended
  -- include _changed
  -- include _release
  local MOST_TOLD = 1000

  -- The breakers that turned, which from now on are told of.
  local function turned()
    local keys, told = redis.call('ZRANGE', UNTOLD, 0, MOST_TOLD - 1), {}
    load_gates(keys)
    for i, key in ipairs(keys) do
      local g = change_gate(key)
      g.told = is_open(g)
      told[i * 2 - 1], told[i * 2] = key, g.told and 1 or 0
    end
    return told
  end

  return {settle = settle, release = release, turned = turned, save = save_gates}
end

local limits = with_limits()

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

-- Let a held job wait for its time, else in line from now on.
local function hold_no_longer(id, job)
  leave(id, job)
  job[STATE], job[RUN_AT] = job[RUN_AT] <= now and 'q' or 's', math.max(job[RUN_AT], now)
  enter(id, job)
end

-- Returns how many of the held jobs are due, and the ids of those that fail. (A job that someone deleted by hand is
-- only taken out of its place, here and below.)
local function settle_some()
  local settled, due, failed = redis.call('ZRANGEBYLEX', SETTLED, '-', '+', 'LIMIT', 0, limit), 0, {}
  local jobs = load(settled)
  for _, id in ipairs(settled) do
    local job = jobs[id]
    if not job then
      take(HELD, id)
      take(SETTLED, id)
    elseif fate_of(id) then
      failed[#failed + 1] = id
      fail_for(redis.call('ZRANGE', lost_of(id), 0, 0)[1], id, job)
    else
      hold_no_longer(id, job)
      if job[STATE] == 'q' then due = due + 1 end
    end
  end
  return due, failed
end

-- Returns how many came due.
local function queue_some()
  local due = redis.call('ZRANGEBYSCORE', SCHEDULED, '-inf', ARGV[1], 'LIMIT', 0, limit)
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
  return #due
end

local function rescue(id, job)
  local message = 'worker ' .. job[WORKER] .. ' stopped renewing its lease.'
  note_end(job, nil)
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

-- Returns the ids.
local function rescue_some()
  local rescued = redis.call('ZRANGEBYSCORE', RUNNING, '-inf', ARGV[1], 'LIMIT', 0, limit)
  local jobs = load(rescued)
  for _, id in ipairs(rescued) do
    if jobs[id] then rescue(id, jobs[id]) else take(RUNNING, id) end
  end
  return rescued
end

local due, failed = settle_some()
due = due + queue_some()
local rescued = rescue_some()
flush()
limits.settle(now)
write()
settle_held()
local gone, told = limits.release(now), limits.turned()
limits.save()
ring()
moment = next_moment()
return answer(due, gone, moment and math.max(now, moment), rescued, failed, told)
