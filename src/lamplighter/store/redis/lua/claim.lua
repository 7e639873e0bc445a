-- Take queued jobs for a worker, each under a new fence, by priority and by the turns of tenants. Jobs that a limit
-- does not let through are put before its gate instead, where they wait until it has room.
-- KEYS[1] {prefix}
-- ARGV[1] now   ARGV[2] limit   ARGV[3] worker   ARGV[4] until when its lease holds   ARGV[5...] queues (none: all)
-- Returns pairs of an id and the job as msgpack, in the order of their turns. Rings if it left some for the next claim.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _unique
-- include _rules
-- include _plan
-- include _ring
local MOST_PARKED = 1000  -- jobs that are put before shut gates
local now, wanted, worker, lease_until = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local claimed, parked = {}, 0

-- What only jobs with limits need is made when the first is met.
local limits
local function with_limits()
  if not limits then
    -- include _gate
    -- include _gates
    -- include _changed
    -- include _release
    -- include _park
    limits = {release = release, load = load_gates, shut = shut, park = park, go = go_through_all, save = save_parked}
  end
  return limits
end

-- The classes of these queues, the most urgent first: it stands in the order that they have now.
local function classes_of(queues)
  local members, some = {}, base .. ':claiming'
  for _, queue in ipairs(queues) do
    for _, priority in ipairs(redis.call('ZRANGE', priorities_of(queue), 0, -1)) do
      members[#members + 1] = redis.call('HGET', HEAD_OF, class_of(queue, priority))
    end
  end
  for i, score in ipairs(#members > 0 and redis.call('ZMSCORE', HEADS, unpack(members)) or {}) do
    if score then redis.call('ZADD', some, score, members[i]) end  -- or it is paused
  end
  local ordered = redis.call('ZRANGE', some, 0, -1)
  redis.call('DEL', some)
  for i, member in ipairs(ordered) do ordered[i] = select(2, parted(member)) end
  return ordered
end

-- What gives the class to claim from: each has nothing to claim any more when the next is asked for.
local function classes()
  if #ARGV == 4 then
    return function()
      local member = redis.call('ZRANGE', HEADS, 0, 0)[1]
      return member and select(2, parted(member))
    end
  elseif #ARGV == 5 then
    if redis.call('SISMEMBER', PAUSED, ARGV[5]) == 1 then return function() end end
    return function()
      local priority = redis.call('ZRANGE', priorities_of(ARGV[5]), 0, 0)[1]
      return priority and class_of(ARGV[5], priority)
    end
  end
  local found, n = classes_of({unpack(ARGV, 5)}), 0
  return function()
    n = n + 1
    return found[n]
  end
end

local function start(id, job)
  if job[MODE] == 'pending' then let_go(id, job) end
  if job[LET_GO] then tally(CANDIDATES, joined(job[LET_GO], job[QUEUE]), -1) end
  if job[LIMITS] then limits.go(job, now) end
  forget_age(id, job)
  job[STATE], job[FENCE], job[WORKER], job[PROGRESS] = 'r', job[FENCE] + 1, worker, nil
  job[STARTED_AT], job[LEASE_UNTIL] = now, lease_until
  put(RUNNING, ARGV[4], id)
  claimed[#claimed + 1] = id
  claimed[#claimed + 1] = save(id, job)
end

-- One round in a class: plan as many as are wanted still, and take those that all of their limits let through. Returns
-- how many were planned, and how many were taken.
local function round(class, queue)
  local ids, line_of, start_of, lines = plan(class, wanted)
  local jobs, keys, taken, latest = load(ids), {}, 0, -math.huge
  for _, job in pairs(jobs) do
    for _, key in ipairs(job[LIMITS] or {}) do keys[#keys + 1] = key end
  end
  if #keys > 0 then with_limits().load(keys) end
  for i, id in ipairs(ids) do
    local job = jobs[id]
    local key = job and job[LIMITS] and limits.shut(job, now)
    if key then
      limits.park(id, job, key, now)
    elseif job then  -- or the server evicted it
      start(id, job)
      taken, latest = taken + 1, math.max(latest, start_of[i])
      line_of[i].taken = line_of[i].taken + 1
    end
  end
  tally(COUNTS, 'q' .. queue, -taken)
  tally(COUNTS, 'r' .. queue, taken)
  local of_queue = pair(queue, '')
  for _, one in ipairs(lines) do
    if one.taken > 0 then tally(WAITING, of_queue .. one.tenant, -one.taken) end
  end
  serve(class, lines, latest)
  write()
  return #ids, taken
end

-- Claim from a class until there is enough, or nothing more. Returns false if the rest is to be left to the next claim.
local function claim_from(class)
  local _, queue = parts_of(class)
  repeat
    if parked >= MOST_PARKED then return false end
    local planned, taken = round(class, queue)
    wanted, parked = wanted - taken, parked + planned - taken
  until planned == taken or wanted == 0
  return true
end

if is_any_due(now) then with_limits().release(now) end
local next_class, done = classes(), true
while wanted > 0 and done do
  local class = next_class()
  if not class then break end
  done = claim_from(class)
  rehead(class)
end
if limits then limits.save() end
if not done then ring() end
return claimed
