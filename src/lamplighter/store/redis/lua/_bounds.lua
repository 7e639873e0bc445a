-- Bounds on how many jobs wait in a queue, and of a tenant in it. (Include after _places and _rules.)

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
