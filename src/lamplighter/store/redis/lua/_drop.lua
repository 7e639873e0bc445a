-- Of a queue that drops its oldest, these are cancelled. (Include after _moves and _bounds.)
local MOST_DROPPED = 1000  -- jobs in one script
local MOST_STRETCHES = 10  -- of jobs that live, where the oldest of a queue are looked for, in one script
local STRETCH = 1000

-- Look among some more jobs that live for those of a queue that wait. Returns how far that is known by then.
local function look_for_oldest(queue, known)
  local from = known == '-' and '-' or '(' .. string.sub(known, 2)
  local ids = redis.call('ZRANGEBYLEX', LIVE, from, '+', 'LIMIT', 0, STRETCH)
  for id, job in pairs(load(ids)) do
    if job[QUEUE] == queue and (job[STATE] == 'q' or job[STATE] == 's') then
      put(oldest_of(queue), 0, id)
      put(oldest_of(queue, job[TENANT]), 0, id)
    end
  end
  known = #ids < STRETCH and '+' or '[' .. ids[#ids]
  set(DROPPING, queue, known)
  write()
  return known
end

-- The oldest jobs of a queue that wait, by id. Which they are is looked for when a bound first asks, from the oldest
-- on, and kept from then on; where a great many others are older it takes several scripts, and until then fewer are
-- found.
local function oldest(queue, tenant, n)
  local known, ids = redis.call('HGET', DROPPING, queue) or '-', {}
  drops[queue] = true
  for _ = 0, MOST_STRETCHES do
    ids = redis.call('ZRANGEBYLEX', oldest_of(queue, tenant), '-', known, 'LIMIT', 0, n)
    if #ids >= n or known == '+' then break end
    known = look_for_oldest(queue, known)
  end
  return ids
end

-- Cancel the oldest that wait where there are too many, now that these were added.
local function drop_oldest(counts, reason, now)
  for _, count in ipairs(counts) do
    local queue, tenant = count[1], count[2]
    local most = most_of(count, true)
    local excess = most and math.min(waiting_in(queue, tenant) - most, MOST_DROPPED) or 0
    local ids = excess > 0 and oldest(queue, tenant, excess) or {}
    local jobs = load(ids)
    for _, id in ipairs(ids) do
      if jobs[id] then
        leave(id, jobs[id])
        jobs[id][REASON] = reason
        finish(id, jobs[id], 'c', now)
      end
    end
    if #ids > 0 then flush() end
  end
end
