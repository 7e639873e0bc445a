-- How a job stops running or waiting. (Include after _places, _unique and _children.)
local ran = {}  -- jobs that stopped running, if limits or tenants have to learn of it (see _ended)
local timed = redis.call('EXISTS', base .. ':records:queue') == 1  -- whether any queue may charge for time

-- A job is about to stop running: well, badly, or (nil) so that it says nothing about its limits.
local function note_end(job, well)
  if not (timed or job[LIMITS]) then return end
  ran[#ran + 1] = {job[QUEUE], job[PRIORITY], job[TENANT], job[STARTED_AT], job[LIMITS] or {}, well}
end


-- It ends; or is forgotten at once, if it need not be kept. The caller has taken it out of where it stood.
local function finish(id, job, state, now)
  if job[KEY] then let_go(id, job) end
  take(LIVE, id)
  let_children_go(id, job)
  if job[GROUP] then count_child(job[GROUP], state, 1) end
  if job[KEEP_UNTIL] and job[KEEP_UNTIL] <= now and not job[GROUP] then
    forget_relations(id, job)
    forget(id)
    return
  end
  job[STATE], job[ENDED_AT] = state, now
  job[LEASE_UNTIL], job[STOPPING], job[PROGRESS] = nil, nil, nil
  enter(id, job)
end

-- It waits again; without its key if another took that meanwhile, for a retry is never lost over a key.
local function back(id, job, state, now)
  job[STATE], job[KEEP_UNTIL] = state, nil
  job[WORKER], job[STARTED_AT], job[LEASE_UNTIL], job[PROGRESS] = nil, nil, nil, nil
  enter(id, job)
  if job[MODE] == 'pending' then take_key(id, job, nil, now) end
end

-- Remember why an attempt failed: the last 20 are kept.
local function note_failure(id, failure)
  local key = base .. ':failures:' .. id
  redis.call('RPUSH', key, cmsgpack.pack(failure))
  redis.call('LTRIM', key, -20, -1)
end
