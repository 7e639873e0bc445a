-- Bounds on how many jobs wait in a queue, and of a tenant in it. (Include after _places and _rules.)
local MOST_DROPPED = 1000  -- jobs in one script
local MOST_STRETCHES = 10  -- of jobs that live, where the oldest of a queue are looked for, in one script
local STRETCH = 1000

-- How many jobs of a queue wait; of one tenant, or of all.
local function waiting_in(queue, tenant)
  if tenant then return tonumber(redis.call('HGET', WAITING, pair(queue, tenant)) or 0) end
  return (redis.call('HGET', COUNTS, 'q' .. queue) or 0) + (redis.call('HGET', COUNTS, 's' .. queue) or 0)
end

-- How many of these jobs are of which queue, and of which tenant in it: rows of a queue, a tenant or nil for all, and a
-- number.
local function count_of(jobs)
  local counts, seen = {}, {}
  local function add(name, queue, tenant)
    if not seen[name] then
      seen[name] = {queue, tenant, 0}
      counts[#counts + 1] = seen[name]
    end
    seen[name][3] = seen[name][3] + 1
  end
  for _, job in ipairs(jobs) do
    local queue, rule = job[QUEUE], rule_of('queue', job[QUEUE])
    if rule.most then add(queue .. ':', queue) end
    if rule.most_per_tenant then add(pair(queue, job[TENANT]), queue, job[TENANT]) end
  end
  return counts
end

-- How many jobs may wait where a row says; nothing where any number may.
local function most_of(count, drop)
  local rule = rule_of('queue', count[1])
  if rule.drop ~= drop then return nil end
  if count[2] then return rule.most_per_tenant end
  return rule.most
end

-- The first of these rows that does not fit.
local function bound_that_is_full(counts)
  for _, count in ipairs(counts) do
    count.most = most_of(count, false)
    if count.most and waiting_in(count[1], count[2]) + count[3] > count.most then return count end
  end
end

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
