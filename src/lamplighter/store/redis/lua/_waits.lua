-- Queued jobs that a limit did not let through: they wait before its gate, apart for each queue. (Include after _job.)

-- `before` is the key of a gate and a queue, so that all of a key, or of a limit, stand together. A job has its place
-- when it comes: behind the last of its priority and tenant; or, of a tenant that has nobody waiting, behind what was
-- let go last.
local WAITS = base .. ':waits'            -- every `before` where jobs wait
local LOOK_AT = base .. ':look_at'        -- of those, when to see whether some may go (not in here: never)
local PASSED = base .. ':passed'          -- hash: before -> the place behind what was let go last
local CANDIDATES = base .. ':candidates'  -- hash: before -> how many of those let go stand in the line of their queue
local WAITING_AT = base .. ':waiting_at'  -- hash: key of a gate -> how many jobs wait before it

local function wait(before)
  return base .. ':wait:' .. before  -- ids by priority, place, run_at
end

local function turns(before, job)
  return base .. ':turns:' .. pair(before, job[PRIORITY] .. ':' .. job[TENANT])  -- ids of a priority's tenant, by place
end

local function spot(id, job)
  return digits(job[PLACE]) .. digits(job[RUN_AT]) .. id
end

local function id_at(spot)
  return string.sub(spot, 33)
end

local crowded = {}  -- every `before` that changed

local function into_wait(id, job)
  local before = joined(job[WAITS_ON], job[QUEUE])
  put(wait(before), 0 - job[PRIORITY], spot(id, job))
  put(turns(before, job), job[PLACE], id)
  put(WAITS, 0, before)
  tally(WAITING_AT, job[WAITS_ON], 1)
  crowded[before] = true
end

local function out_of_wait(id, job)
  local before = joined(job[WAITS_ON], job[QUEUE])
  take(wait(before), spot(id, job))
  take(turns(before, job), id)
  tally(WAITING_AT, job[WAITS_ON], -1)
  crowded[before] = true
end

-- Forget where nobody waits any more.
local function settle_waits()
  for before in pairs(crowded) do
    if redis.call('EXISTS', wait(before)) == 0 then
      redis.call('ZREM', WAITS, before)
      redis.call('ZREM', LOOK_AT, before)
      redis.call('HDEL', PASSED, before)
    end
  end
  crowded = {}
end

-- Whether there is a place to look at.
local function is_any_due(now)
  local first = redis.call('ZRANGE', LOOK_AT, 0, 0, 'WITHSCORES')[2]
  return first and tonumber(first) <= now or redis.call('EXISTS', base .. ':changed') == 1
end

-- See soon whether any of those before a gate may go.
local function look_at_once(key)
  for _, before in ipairs(redis.call('ZRANGEBYLEX', WAITS, '[' .. key .. '\0', '(' .. key .. '\1')) do
    if parted(before) == key then put(LOOK_AT, 0, before) end
  end
end
