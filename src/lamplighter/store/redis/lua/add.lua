-- Add jobs in order; an id that is known stays as it is, and a job whose key is held is not added.
-- KEYS[1] {prefix}
-- ARGV[1] now   ARGV[2...] for each job: its id, the job as msgpack, the id of its parent or '', and whether it replaces a
-- job of its name that waits under its key: '' for no, '-' for yes, or by how long that one is put off at most
-- Returns for each job that was not added: its place in the batch (from 1), the holder's id, and 1 if that was replaced; its
-- own id, if nobody is held for it.
-- Rings if any was added or replaced.
-- include _job
-- include _unique
-- include _children
-- include _ring
local now, ids, seen, refused = tonumber(ARGV[1]), {}, {}, {}
for i = 2, #ARGV, 4 do ids[#ids + 1] = ARGV[i] end
for first = 1, #ids, MOST do
  for i, packed in ipairs(redis.call('HMGET', JOBS, unpack(ids, first, math.min(first + MOST - 1, #ids)))) do
    if packed then seen[ids[first + i - 1]] = true end
  end
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

local function replace(id, brought, longest)
  local job = waiting_of(id)
  if not job then return false end
  local queue, _, key, mode, till, name, tenant, created_at = fixed_of(job)
  local _, priority, _, _, _, other, _, _, args = fixed_of(brought)
  if name ~= other then return false end
  if not new[id] and not waiting[id] then
    waiting[id] = job
    if job[STATE] == 'q' then behead(queue) end
    leave(id, job)
  end
  job[PRIORITY] = priority
  job[RUN_AT] = math.min(brought[RUN_AT], longest and created_at + longest or brought[RUN_AT])
  job[STATE] = job[RUN_AT] <= now and 'q' or 's'
  job[FIXED] = cmsgpack.pack(queue, priority, key, mode, till, name, tenant, created_at, args)
  if job[TOTAL] then job[FIXED] = job[FIXED] .. cmsgpack.pack(job[GROUP], job[TOTAL], job[ON_FAILURE]) end
  raw[id] = nil
  return true
end

local function is_held(id)
  if new[id] then return new[id][STATE] == 'h' end
  return redis.call('ZSCORE', HELD, id)
end

for i, id in ipairs(ids) do
  if not seen[id] then
    local at = i * 4 - 2
    local packed, parent, how = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local job = unpack_job(packed)
    local till = job[MODE] == 'period' and job[UNTIL] or nil
    local orphan = job[GROUP] and not is_held(job[GROUP])
    local holder = job[KEY] and take_key(id, job, till, now, parent) or id
    if holder == id and not orphan then
      seen[id] = true
      added[#added + 1] = id
      new[id], raw[id] = job, packed
    else
      local n = #refused
      refused[n + 1], refused[n + 2] = i, holder
      refused[n + 3] = how ~= '' and not orphan and replace(holder, job, tonumber(how)) and 1 or 0
    end
  end
end
local saved = gather('HSET', JOBS)
for _, id in ipairs(added) do
  local job = new[id]
  put(LIVE, 0, id)
  enter(id, job, raw[id])
  relate(id, job)
end
for id, job in pairs(waiting) do enter(id, job) end
if #saved > 0 then
  flush()
  settle_up()
  ring()
end
return refused
