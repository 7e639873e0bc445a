-- Where jobs stand, by their state. (Include after _lines and _waits.)
local SCHEDULED = base .. ':scheduled'  -- ids by run_at
local EXPIRY = base .. ':expiry'        -- ids of ended jobs by keep_until
local BY_END = base .. ':by_end'        -- ids of ended jobs by when they ended
local COUNTS = base .. ':counts'        -- hash: state letter and queue -> number of jobs
local WAITING = base .. ':waiting'      -- hash: queue and tenant -> number of jobs that wait
local DROPPING = base .. ':dropping'    -- hash: queue whose oldest are known -> up to which id (see _drop)
local ENDED_IDS = {d = base .. ':done', f = base .. ':failed', c = base .. ':cancelled'}  -- ids of ended jobs, by id

local function ended_in(state, queue)
  return base .. ':ended:' .. state .. ':' .. queue
end

local function oldest_of(queue, tenant)
  return base .. ':oldest:' .. (tenant and pair(queue, tenant) or queue)  -- ids of jobs that wait, by id
end

local drops = {}

-- Whether it is to be known which jobs of a queue are the oldest.
local function is_dropping(queue)
  if drops[queue] == nil then drops[queue] = redis.call('HEXISTS', DROPPING, queue) == 1 end
  return drops[queue]
end

local function begin_waiting(id, job)
  tally(WAITING, pair(job[QUEUE], job[TENANT]), 1)
  if is_dropping(job[QUEUE]) then
    put(oldest_of(job[QUEUE]), 0, id)
    put(oldest_of(job[QUEUE], job[TENANT]), 0, id)
  end
end

-- (Who takes many of a tenant at once counts them itself.)
local function forget_age(id, job)
  if is_dropping(job[QUEUE]) then
    take(oldest_of(job[QUEUE]), id)
    take(oldest_of(job[QUEUE], job[TENANT]), id)
  end
end

local function stop_waiting(id, job)
  tally(WAITING, pair(job[QUEUE], job[TENANT]), -1)
  forget_age(id, job)
end

-- Take a queued job out of its line, or from before a gate.
local function step_out(id, job)
  if job[WAITS_ON] then
    out_of_wait(id, job)
    return
  end
  out_of_line(id, job)
  if job[LET_GO] then tally(CANDIDATES, joined(job[LET_GO], job[QUEUE]), -1) end
end

-- Put a queued job there.
local function step_in(id, job)
  if job[WAITS_ON] then
    into_wait(id, job)
    return
  end
  into_line(id, job)
  if job[LET_GO] then tally(CANDIDATES, joined(job[LET_GO], job[QUEUE]), 1) end
end

-- Take a job out of where its state has put it. Each move begins with this and ends with `enter`, so that where a job
-- stands never differs from its state.
local function leave(id, job)
  local state, queue = job[STATE], job[QUEUE]
  tally(COUNTS, state .. queue, -1)
  if state == 'q' then
    step_out(id, job)
    stop_waiting(id, job)
  elseif state == 's' then
    take(SCHEDULED, id)
    stop_waiting(id, job)
  elseif state == 'r' then
    take(RUNNING, id)
  elseif state == 'h' then
    take(HELD, id)
    take(SETTLED, id)
  else
    take(ENDED_IDS[state], id)
    take(ended_in(state, queue), id)
    take(BY_END, id)
    if job[KEEP_UNTIL] then take(EXPIRY, id) end
    if job[GROUP] then
      take(lost_of(job[GROUP]), id)
      take(spared_of(job[GROUP]), id)
    end
  end
end

-- Put a job where its state belongs, and save it (as it stands, if it is packed already).
local function enter(id, job, packed)
  local state, queue = job[STATE], job[QUEUE]
  tally(COUNTS, state .. queue, 1)
  if state == 'q' then
    step_in(id, job)
    begin_waiting(id, job)
  elseif state == 's' then
    put(SCHEDULED, job[RUN_AT], id)
    begin_waiting(id, job)
  elseif state == 'r' then
    put(RUNNING, job[LEASE_UNTIL], id)
  elseif state == 'h' then
    put(HELD, 0, id)
  else
    if job[GROUP] and state ~= 'd' then put(lost_of(job[GROUP]), 0, id) end
    put(ENDED_IDS[state], 0, id)
    put(ended_in(state, queue), 0, id)
    put(BY_END, job[ENDED_AT], id)
    if job[KEEP_UNTIL] then put(EXPIRY, job[KEEP_UNTIL], id) end
  end
  return save(id, job, packed)
end

-- Forget a job that stands nowhere any more, why it failed, and what it logged.
local function forget(id)
  unset(JOBS, id)
  local keys = gather('UNLINK', '')
  keys[#keys + 1] = base .. ':failures:' .. id
  keys[#keys + 1] = base .. ':log:' .. id
end

-- Write what has gathered, and have lines and waits follow.
local function flush()
  write()
  settle_waits()
  settle_lines()
end
