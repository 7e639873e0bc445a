-- Jobs that are held for others, and those others: how far they are, and who need not wait any longer. (Include after
-- _job.)

local RELEASED = base .. ':released'  -- set of jobs that have ended, whose spared children may be forgotten now

-- Hash: what a job waits for, and how many of its children were added (a) and are done (d), failed (f), cancelled (c).
local function group_of(id)
  return base .. ':group:' .. id
end

-- Ids of the children of a job, by id.
local function children_of(id)
  return base .. ':children:' .. id
end

local counted = {}  -- by job, what is to be added to these numbers

-- Count a child of a job.
local function count_child(group, what, n)
  local sums = counted[group] or {}
  sums[what] = (sums[what] or 0) + n
  counted[group] = sums
end

-- Look at the end whether a job that is held from now on has to wait at all.
local function look_at_held(id)
  counted[id] = counted[id] or {}
end

-- Whether a job is to fail, and whether it is to wait, by what its children have come to.
local function fate_of(id)
  local said = redis.call('HMGET', group_of(id), 'total', 'on_failure', 'd', 'f', 'c')
  local done, lost = tonumber(said[3] or 0), tonumber(said[4] or 0) + tonumber(said[5] or 0)
  local must_fail = said[2] == 'fail' and lost > 0
  return must_fail, not must_fail and done + lost < tonumber(said[1] or 0)
end

-- Write what was counted, where the job is still known. The last thing to be done, after `flush`.
local function settle_held()
  for id, sums in pairs(counted) do
    if redis.call('EXISTS', group_of(id)) == 1 then
      for what, n in pairs(sums) do redis.call('HINCRBY', group_of(id), what, n) end
      if redis.call('ZSCORE', HELD, id) then
        local _, waits = fate_of(id)
        if waits then
          redis.call('ZREM', SETTLED, id)
        else
          redis.call('ZADD', SETTLED, 0, id)
        end
      end
    end
  end
end

-- Begin to wait for children, and to be waited for.
local function relate(id, job)
  if job[GROUP] then
    put(children_of(job[GROUP]), 0, id)
    count_child(job[GROUP], 'a', 1)
  end
  if job[TOTAL] then
    redis.call('HSET', group_of(id), 'total', job[TOTAL], 'on_failure', job[ON_FAILURE])
    look_at_held(id)
  end
end

-- The children of a job that has ended are spared no longer.
local function let_children_go(id, job)
  if job[TOTAL] and redis.call('EXISTS', spared_of(id)) == 1 then redis.call('SADD', RELEASED, id) end
end

-- Forget whose child a job was, and how far its own were.
local function forget_relations(id, job)
  if job[GROUP] then take(children_of(job[GROUP]), id) end
  if job[TOTAL] then
    local args = gather('UNLINK', '')
    args[#args + 1] = group_of(id)
  end
end
