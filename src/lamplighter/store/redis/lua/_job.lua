-- Jobs, their places, and writes that gather. Needs KEYS[1] = {prefix}, which never exists: a cluster that moves our slot
-- answers ASK before it runs anything, so that no script ever finds half of its keys.

-- A job is one field of the hash `jobs`, by its id: a msgpack array, whose fields `rows.py` has in the same order. To
-- build it anew is most of the work of a script, so what never changes comes last and is carried along as it stands.
local STATE, FENCE, FAILURES, CRASHES, RUN_AT = 2, 3, 4, 5, 6
local WORKER, STARTED_AT, LEASE_UNTIL, PROGRESS, STOPPING = 7, 8, 9, 10, 11
local ENDED_AT, KEEP_UNTIL, RESULT, REASON = 12, 13, 14, 15
local QUEUE, PRIORITY, KEY, MODE, UNTIL, FIXED = 16, 17, 18, 19, 20, 21
local HEADER, NIL4, NIL9 = '\220\000\023', string.rep('\192', 4), string.rep('\192', 9)
-- Only a job that has children, or is one, says so, in three more fields.
local GROUP, TOTAL, ON_FAILURE, RELATED_HEADER = 22, 23, 24, '\220\000\026'

local function unpack_job(packed)
  local job = {cmsgpack.unpack_limit(packed, 14, #HEADER)}  -- the first is where it stopped
  job[FIXED] = string.sub(packed, job[1] + 1)
  local _
  _, job[QUEUE], job[PRIORITY], job[KEY], job[MODE], job[UNTIL] = cmsgpack.unpack_limit(packed, 5, job[1])
  if string.sub(packed, 1, 3) ~= HEADER then
    job[GROUP], job[TOTAL], job[ON_FAILURE] = select(11, cmsgpack.unpack_limit(job[FIXED], 12, 0))
  end
  return job
end

-- What never changes of a job, but when it is replaced: queue, priority, key, mode, until, name, tenant, created_at, args.
local function fixed_of(job)
  return select(2, cmsgpack.unpack_limit(job[FIXED], 9, 0))
end

local function pack_job(job)
  local state, header = job[STATE], (job[GROUP] or job[TOTAL]) and RELATED_HEADER or HEADER
  if state == 'q' or state == 's' or state == 'h' then
    return header .. cmsgpack.pack(unpack(job, STATE, RUN_AT)) .. NIL9 .. job[FIXED]
  elseif state == 'r' then
    return header .. cmsgpack.pack(unpack(job, STATE, STOPPING)) .. NIL4 .. job[FIXED]
  end
  return header .. cmsgpack.pack(unpack(job, STATE, REASON)) .. job[FIXED]
end

-- Where jobs stand. Moments are microseconds since 1970: a double holds them exactly until the year 2255, and redis.call
-- writes its numbers with all of their digits, unlike `tostring` and `..`.
local base = KEYS[1]
local JOBS = base .. ':jobs'            -- hash: id -> job
local LIVE = base .. ':live'            -- ids of jobs that have not ended, by id
local HELD = base .. ':held'            -- ids of jobs that wait for their children, by id
local SCHEDULED = base .. ':scheduled'  -- ids by run_at
local RUNNING = base .. ':running'      -- ids by lease_until
local EXPIRY = base .. ':expiry'        -- ids of ended jobs by keep_until
local COUNTS = base .. ':counts'        -- hash: state letter and queue -> number of jobs
local HEADS = base .. ':heads'          -- the first place of each line that is not paused, in the order of claims
local HEAD_OF = base .. ':head_of'      -- hash: queue -> its member of `heads`
local PAUSED = base .. ':paused'        -- set of queues

local MOST = 4000  -- arguments in one command: Lua can unpack no more than some 8,000
local ENDED_IDS = {d = base .. ':done', f = base .. ':failed', c = base .. ':cancelled'}  -- ids of ended jobs, by id

-- The jobs of these ids that there are, by id.
local function load(ids)
  local jobs = {}
  for first = 1, #ids, MOST do
    for i, packed in ipairs(redis.call('HMGET', JOBS, unpack(ids, first, math.min(first + MOST - 1, #ids)))) do
      if packed then jobs[ids[first + i - 1]] = unpack_job(packed) end
    end
  end
  return jobs
end

-- Rows of so many values, the first an id; the second list is the ids. (A row's own first value is where it stopped.)
local function unpack_rows(packed, size)
  local rows, ids, at = {}, {}, #packed > 0 and 0 or -1
  while at >= 0 do  -- it is -1 after the last
    local row = {cmsgpack.unpack_limit(packed, size, at)}
    at = row[1]
    rows[#rows + 1], ids[#ids + 1] = row, row[2]
  end
  return rows, ids
end

-- Writes gather here until `flush`, for one command that takes many is several times as quick as many that take one.
local gathered, order = {ZADD = {}, ZREM = {}, HSET = {}, HDEL = {}, UNLINK = {}}, {}

local function gather(command, key)
  local args = gathered[command][key]
  if not args then
    args = {}
    gathered[command][key] = args
    order[#order + 1] = {command, key, args}
  end
  return args
end

local function put(key, score, member)
  local args = gather('ZADD', key)
  local n = #args
  args[n + 1], args[n + 2] = score, member
end

local function take(key, member)
  local args = gather('ZREM', key)
  args[#args + 1] = member
end

local function save(id, job, packed)
  packed = packed or pack_job(job)
  local args = gather('HSET', JOBS)
  local n = #args
  args[n + 1], args[n + 2] = id, packed
  return packed
end

local function forget_failures(id)
  local args = gather('UNLINK', '')
  args[#args + 1] = base .. ':failures:' .. id
end

local function forget(id)
  local args = gather('HDEL', JOBS)
  args[#args + 1] = id
  forget_failures(id)
end

-- The line of a queue: its queued jobs, by priority, then run_at, then id.
local touched = {}

local function line(queue)
  return base .. ':line:' .. queue
end

local function place(id, job)
  return string.format('%016.0f', job[RUN_AT]) .. id
end

-- A member of `heads` is a place, then the queue, whose length comes last; the NUL lets a shorter id go first.
local function head(first, queue)
  return first .. '\0' .. queue .. string.format('%08d', #queue)
end

local function queue_of(member)
  local size = tonumber(string.sub(member, -8))
  return string.sub(member, -8 - size, -9)
end

-- Put the first job of a line among the heads, if it is another than before.
local function rehead(queue)
  local old = redis.call('HGET', HEAD_OF, queue)
  local first = redis.call('ZRANGE', line(queue), 0, 0, 'WITHSCORES')
  local new = first[1] and redis.call('SISMEMBER', PAUSED, queue) == 0 and head(first[1], queue)
  if new == old then return end
  if old then redis.call('ZREM', HEADS, old) end
  if new then
    redis.call('ZADD', HEADS, first[2], new)
    redis.call('HSET', HEAD_OF, queue, new)
  else
    redis.call('HDEL', HEAD_OF, queue)
  end
end

-- Forget the first job of a line, before its priority changes: `rehead` looks at its place only.
local function behead(queue)
  local old = redis.call('HGET', HEAD_OF, queue)
  if old then
    redis.call('ZREM', HEADS, old)
    redis.call('HDEL', HEAD_OF, queue)
  end
end

local counted = {}

local function count(state, queue, n)
  local field = state .. queue
  counted[field] = (counted[field] or 0) + n
end

local function ended_in(state, queue)
  return base .. ':ended:' .. state .. ':' .. queue
end

-- Children of a job that failed or were cancelled, by id; and those that could be forgotten, but for it, by keep_until.
local function lost_of(id)
  return base .. ':lost:' .. id
end

local function spared_of(id)
  return base .. ':spared:' .. id
end

-- Take a job out of where its state has put it. Each of the moves below begins with this and ends with `enter`, so that
-- where a job stands never differs from its state.
local function leave(id, job)
  local state, queue = job[STATE], job[QUEUE]
  count(state, queue, -1)
  if state == 'q' then
    take(line(queue), place(id, job))
    touched[queue] = true
  elseif state == 's' then
    take(SCHEDULED, id)
  elseif state == 'r' then
    take(RUNNING, id)
  elseif state == 'h' then
    take(HELD, id)
    take(base .. ':settled', id)
  else
    take(ENDED_IDS[state], id)
    take(ended_in(state, queue), id)
    if job[KEEP_UNTIL] then take(EXPIRY, id) end
    if job[GROUP] then
      take(lost_of(job[GROUP]), id)
      take(spared_of(job[GROUP]), id)
    end
  end
end

-- Put a job where its state belongs, and save it (as it stands, if it is packed already).
local function enter(id, job, packed)
  local state, queue = job[STATE], job[QUEUE]
  count(state, queue, 1)
  if state == 'q' then
    put(line(queue), 0 - job[PRIORITY], place(id, job))
    touched[queue] = true
  elseif state == 's' then
    put(SCHEDULED, job[RUN_AT], id)
  elseif state == 'r' then
    put(RUNNING, job[LEASE_UNTIL], id)
  elseif state == 'h' then
    put(HELD, 0, id)
  else
    if job[GROUP] and state ~= 'd' then put(lost_of(job[GROUP]), 0, id) end
    put(ENDED_IDS[state], 0, id)
    put(ended_in(state, queue), 0, id)
    if job[KEEP_UNTIL] then put(EXPIRY, job[KEEP_UNTIL], id) end
  end
  return save(id, job, packed)
end

-- Write what has gathered. A job moves once at most in one script, so the order among different places is of no account.
local function flush()
  for _, one in ipairs(order) do
    local command, key, args = unpack(one)
    for first = 1, #args, MOST do
      local last = math.min(first + MOST - 1, #args)
      if key == '' then
        redis.call(command, unpack(args, first, last))
      else
        redis.call(command, key, unpack(args, first, last))
      end
    end
  end
  for field, n in pairs(counted) do
    if n ~= 0 and redis.call('HINCRBY', COUNTS, field, n) == 0 then redis.call('HDEL', COUNTS, field) end
  end
  for queue in pairs(touched) do rehead(queue) end
end
