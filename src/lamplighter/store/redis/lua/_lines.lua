-- Lines of jobs that may be claimed: one for each tenant ('' of jobs without) of a class, which is a queue and a
-- priority. (Include after _job.)

-- A line has a tag, and the line with the lowest is served next. A line that is empty is remembered for its tag, until
-- that makes no difference any more.
local HEADS = base .. ':heads'      -- the job that is next in each class that is not paused, in the order of claims
local HEAD_OF = base .. ':head_of'  -- hash: class -> its member of `heads`
local SERVED = base .. ':served'    -- hash: class -> the highest tag that was served
local PAUSED = base .. ':paused'    -- set of queues

local class_of = remembering(function(queue, priority) return priority .. ':' .. queue end)

local function parts_of(class)
  return string.match(class, '^([^:]*):(.*)$')  -- the priority, and the queue
end

-- (Ids by run_at.)
local line = remembering(function(class, tenant) return base .. ':line:' .. pair(class, tenant) end)

local function tags_of(class)
  return base .. ':tags:' .. class  -- tenants that have jobs, by the tag of their line
end

local function idle_of(class)
  return base .. ':idle:' .. class  -- tenants whose line is empty, by its tag
end

local function priorities_of(queue)
  return base .. ':priorities:' .. queue  -- those that have jobs, the highest first
end

local touched = {}  -- by class, the tenants whose lines changed

local function touch(class, tenant)
  local tenants = touched[class]
  if not tenants then
    tenants = {}
    touched[class] = tenants
  end
  tenants[tenant] = true
end

local function into_line(id, job)
  local class = class_of(job[QUEUE], job[PRIORITY])
  put(line(class, job[TENANT]), job[RUN_AT], id)
  touch(class, job[TENANT])
end

local function out_of_line(id, job)
  local class = class_of(job[QUEUE], job[PRIORITY])
  take(line(class, job[TENANT]), id)
  touch(class, job[TENANT])
end

-- A line has a job again: it goes on from its tag.
local function fill_line(class, tenant)
  local tag = redis.call('ZSCORE', idle_of(class), tenant)
  if tag then redis.call('ZREM', idle_of(class), tenant) end
  redis.call('ZADD', tags_of(class), tag or 0, tenant)
end

-- A line has no job any more.
local function leave_line_empty(class, tenant, tag)
  redis.call('ZREM', tags_of(class), tenant)
  redis.call('ZADD', idle_of(class), tag, tenant)
  redis.call('HSETNX', SERVED, class, 0)  -- so that `prune` finds the class
end

-- Put the job that is next in a class among the heads, if it is another than before.
local function rehead(class)
  local priority, queue = parts_of(class)
  local tenant = redis.call('ZRANGE', tags_of(class), 0, 0)[1]
  local first = tenant and redis.call('ZRANGE', line(class, tenant), 0, 0, 'WITHSCORES') or {}
  local old = redis.call('HGET', HEAD_OF, class)
  local new = first[1] and joined(digits(tonumber(first[2])) .. first[1], class) or false
  if new == old then return end
  if old then redis.call('ZREM', HEADS, old) end
  if new then
    redis.call('HSET', HEAD_OF, class, new)
    if redis.call('SISMEMBER', PAUSED, queue) == 0 then redis.call('ZADD', HEADS, 0 - priority, new) end
    if not old then redis.call('ZADD', priorities_of(queue), 0 - priority, priority) end
  else
    redis.call('HDEL', HEAD_OF, class)
    redis.call('ZREM', priorities_of(queue), priority)
  end
end

-- Have the tags and heads be those of what the lines hold by now.
local function settle_lines()
  for class, tenants in pairs(touched) do
    for tenant in pairs(tenants) do
      local tag = redis.call('ZSCORE', tags_of(class), tenant)
      local filled = redis.call('EXISTS', line(class, tenant)) == 1
      if filled and not tag then fill_line(class, tenant) end
      if tag and not filled then leave_line_empty(class, tenant, tag) end
    end
    rehead(class)
  end
  touched = {}
end
