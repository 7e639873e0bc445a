-- Add jobs in order; an id that is known stays as it is, and a job whose key is held is not added.
-- KEYS[1] {prefix}
-- ARGV[1] now   ARGV[2] why a job is dropped for which its queue has no room   ARGV[3] 1 to refuse what is beyond a
-- queue's bound, 0 where that is known to fit
-- ARGV[4...] for each job: its id, the job as msgpack, the id of its parent or '', and whether it replaces a job of its
-- name that waits under its key: '' for no, '-' for yes, or by how long that one is put off at most
-- Returns 1 and, for each job that was not added, its place in the batch (from 1), the holder's id (its own, if nobody
-- is held for it), and 1 if that was replaced; or, where they do not fit, 0 with the queue, the tenant or '', and how
-- many jobs may wait. Rings if any was added or replaced.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _unique
-- include _children
-- include _moves
-- include _ring
local now, ids, known, refused = tonumber(ARGV[1]), {}, {}, {}
for i = 4, #ARGV, 4 do ids[#ids + 1] = ARGV[i] end
for first = 1, #ids, MOST do
  for i, packed in ipairs(redis.call('HMGET', JOBS, unpack(ids, first, math.min(first + MOST - 1, #ids)))) do
    if packed then known[ids[first + i - 1]] = true end
  end
end

-- The jobs that are not known yet, and those of them that come for the first time.
local brought, firsts, queues, seen = {}, {}, {}, {}
for at, id in ipairs(ids) do
  if not known[id] then
    local job = unpack_job(ARGV[at * 4 + 1])
    brought[#brought + 1], queues[#queues + 1] = job, job[QUEUE]
    job.at = at
    if not seen[id] then firsts[#firsts + 1] = job end
    seen[id] = true
  end
end

local make_room  -- what to do once they are added, if any queue has a rule
if redis.call('EXISTS', base .. ':records:queue') == 1 then
  -- include _rules
  -- include _bounds
  -- include _drop
  load_rules('queue', queues)
  local counts = count_of(firsts)
  local full = ARGV[3] == '1' and bound_that_is_full(counts)
  if full then return {0, full[1], full[2] or '', full.most} end
  make_room = function() drop_oldest(counts, ARGV[2], now) end
end

-- A job moves once, when all is known: what is added may be replaced, and what waits more than once.
local added, new, raw, waiting = {}, {}, {}, {}

-- The job that holds a key, if it waits, to be changed.
local function waiting_of(id)
  local job = new[id] or waiting[id]
  if not job then
    local packed = redis.call('HGET', JOBS, id)
    job = packed and unpack_job(packed)
  end
  if not job or job[STATE] ~= 'q' and job[STATE] ~= 's' then return end
  return job
end

local function replace(id, brought_, longest)
  local job = waiting_of(id)
  if not job then return false end
  local queue, _, key, mode, till, tenant, limits, name, created_at = fixed_of(job)
  local _, priority, _, _, _, _, _, other, _, args = fixed_of(brought_)
  if name ~= other then return false end
  if not new[id] and not waiting[id] then
    waiting[id] = job
    leave(id, job)
    job[WAITS_ON], job[LET_GO], job[PLACE] = nil, nil, nil
  end
  job[PRIORITY] = priority
  job[RUN_AT] = math.min(brought_[RUN_AT], longest and created_at + longest or brought_[RUN_AT])
  job[STATE] = job[RUN_AT] <= now and 'q' or 's'
  job[FIXED] = cmsgpack.pack(queue, priority, key, mode, till, tenant, limits, name, created_at, args)
  if job[TOTAL] then job[FIXED] = job[FIXED] .. cmsgpack.pack(job[GROUP], job[TOTAL], job[ON_FAILURE]) end
  raw[id] = nil
  return true
end

local function is_held(id)
  if new[id] then return new[id][STATE] == 'h' end
  return redis.call('ZSCORE', HELD, id)
end

for _, job in ipairs(brought) do
  local id, at = ids[job.at], job.at * 4
  if not new[id] then
    local packed, parent, how = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local till = job[MODE] == 'period' and job[UNTIL] or nil
    local orphan = job[GROUP] and not is_held(job[GROUP])
    local holder = job[KEY] and take_key(id, job, till, now, parent) or id
    if holder == id and not orphan then
      added[#added + 1] = id
      new[id], raw[id] = job, packed
    else
      local n = #refused
      refused[n + 1], refused[n + 2] = job.at, holder
      refused[n + 3] = how ~= '' and not orphan and replace(holder, job, tonumber(how)) and 1 or 0
    end
  end
end
for _, id in ipairs(added) do
  put(LIVE, 0, id)
  enter(id, new[id], raw[id])
  relate(id, new[id])
end
local any = #added > 0
for id, job in pairs(waiting) do
  enter(id, job)
  any = true
end
if any then flush() end
if make_room then make_room() end
settle_held()
if any then ring() end
return {1, refused}
