-- Jobs that are claimed go through their gates, or wait before one. (Include after _gates and _places.)
local lasts = {}  -- the places of those who are last, before gates
local NEVER, looks = {}, {}  -- when to look at places where jobs were put

-- The first of a job's limits that does not let it through.
local function shut(job, now)
  for _, key in ipairs(job[LIMITS]) do
    local g, rule = gate(key)
    if room_at(g, rule, now) == 0 then return key end
  end
end

-- The place of the last of a job's tenant and priority, if any waits there.
local function last_place(those)
  if lasts[those] == nil then
    lasts[those] = tonumber(redis.call('ZREVRANGE', those, 0, 0, 'WITHSCORES')[2]) or false
  end
  return lasts[those]
end

-- Have a job wait before a gate. One that was let go, and came too late, has its place again.
local function park(id, job, key, now)
  local before, let_go_by = joined(key, job[QUEUE]), job[LET_GO]
  local those = turns(before, job)
  local last = last_place(those)
  if let_go_by then tally(CANDIDATES, joined(let_go_by, job[QUEUE]), -1) end
  if let_go_by ~= key then
    job[PLACE] = last and last + charge_of(job[TENANT]) or tonumber(redis.call('HGET', PASSED, before) or 0)
  end
  lasts[those] = math.max(last or job[PLACE], job[PLACE])
  job[WAITS_ON], job[LET_GO] = key, nil
  into_wait(id, job)
  save(id, job)
  local g, rule = change_gate(key)
  looks[before] = next_look(g, rule, now) or NEVER
end

-- A job that starts has the slot of each of its limits.
local function go_through_all(job, now)
  for _, key in ipairs(job[LIMITS]) do
    local g, rule = change_gate(key)
    go_through(g, rule, now)
  end
end

-- Write what has changed of gates, and before them. Call it last.
local function save_parked()
  for before, look_at in pairs(looks) do
    if look_at == NEVER then take(LOOK_AT, before) else put(LOOK_AT, look_at, before) end
  end
  flush()
  save_gates()
end
