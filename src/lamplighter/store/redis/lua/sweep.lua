-- Queue scheduled jobs that are due, and running ones whose lease ran out (as a crash), the earliest first; and let go
-- who waits before a gate that has room.
-- KEYS[1] {prefix}   ARGV[1] now   ARGV[2] limit, for each of the first two
-- Returns how many came due, how many were let go, when to look again ('' for never), the ids of those rescued, and of
-- breakers that turned since the last sweep pairs of a key and whether (1 or 0) it is open. Rings if anything changed.
-- include _job
local now, limit = tonumber(ARGV[1]), ARGV[2]

-- When there is something to do that only time, or what has changed, brings about.
local function next_moment()
  if redis.call('EXISTS', base .. ':untold', base .. ':changed') > 0 then return 0 end
  local moment
  for _, name in ipairs({':scheduled', ':running', ':look_at'}) do
    local first = tonumber(redis.call('ZRANGE', base .. name, 0, 0, 'WITHSCORES')[2])
    moment = moment and first and math.min(moment, first) or moment or first
  end
  return moment
end

local function answer(due, let_go_, moment, rescued, turned_)
  return {due, let_go_, moment and string.format('%.0f', moment) or '', rescued, turned_}
end

local moment = next_moment()
if not moment or moment > now then return answer(0, 0, moment, {}, {}) end

-- include _lines
-- include _waits
-- include _places
-- include _unique
-- include _moves
-- include _rules
-- include _gate
-- include _gates
-- include _ended
-- include _changed
-- include _release
-- include _ring
local MOST_TOLD = 1000

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
flush()
settle(now)
write()
local gone, told = release(now), turned()
save_gates()
ring()
moment = next_moment()
return answer(#due, gone, moment and math.max(now, moment), rescued, told)
