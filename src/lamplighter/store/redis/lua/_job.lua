-- Jobs as they are stored, and writes that gather. Needs KEYS[1] = {prefix}, which never exists: a cluster that moves
-- our slot answers ASK before it runs anything, so that no script ever finds half of its keys.

-- A job is one field of the hash `jobs`, by its id: a msgpack array, whose fields `rows.py` has in the same order. To
-- build it anew is most of the work of a script, so what never changes comes last and is carried along as it stands.
local STATE, FENCE, FAILURES, CRASHES, RUN_AT = 2, 3, 4, 5, 6
local WORKER, STARTED_AT, LEASE_UNTIL, PROGRESS, STOPPING = 7, 8, 9, 10, 11
local ENDED_AT, KEEP_UNTIL, RESULT, REASON = 12, 13, 14, 15
local WAITS_ON, LET_GO, PLACE = 16, 17, 18  -- of a queued job: the gate that it waits before, or that let it go
local QUEUE, PRIORITY, KEY, MODE, UNTIL, TENANT, LIMITS, FIXED = 19, 20, 21, 22, 23, 24, 25, 26
-- Only a job that has children, or is one, says so, in three more fields.
local GROUP, TOTAL, ON_FAILURE = 27, 28, 29
local HEADER, RELATED_HEADER = '\220\000\027', '\220\000\030'
local NIL = {}  -- so many nils
for _, n in ipairs({3, 7, 9, 12}) do NIL[n] = string.rep('\192', n) end

-- (All values in one constructor: a table that grows takes longer than all else.)
local function table_of(packed, at, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r)
  local _, queue, priority, key, mode, till, tenant, limits = cmsgpack.unpack_limit(packed, 7, at)
  local fixed = string.sub(packed, at + 1)
  return {
    at, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, queue, priority, key, mode, till, tenant or '', limits, fixed,
  }
end

local function unpack_job(packed)
  local job = table_of(packed, cmsgpack.unpack_limit(packed, 17, #HEADER))  -- which first says where it stopped
  if string.sub(packed, 1, 3) ~= HEADER then
    job[GROUP], job[TOTAL], job[ON_FAILURE] = select(12, cmsgpack.unpack_limit(job[FIXED], 13, 0))
  end
  return job
end

-- What never changes of a job, but when it is replaced: queue, priority, key, mode, until, tenant, limits, name,
-- created_at, args.
local function fixed_of(job)
  return select(2, cmsgpack.unpack_limit(job[FIXED], 10, 0))
end

local function pack_job(job)
  local state, header = job[STATE], (job[GROUP] or job[TOTAL]) and RELATED_HEADER or HEADER
  if state == 'q' and job[PLACE] then
    local before = cmsgpack.pack(unpack(job, WAITS_ON, PLACE))
    return header .. cmsgpack.pack(unpack(job, STATE, RUN_AT)) .. NIL[9] .. before .. job[FIXED]
  elseif state == 'q' or state == 's' or state == 'h' then
    return header .. cmsgpack.pack(unpack(job, STATE, RUN_AT)) .. NIL[12] .. job[FIXED]
  elseif state == 'r' then
    return header .. cmsgpack.pack(unpack(job, STATE, STOPPING)) .. NIL[7] .. job[FIXED]
  end
  return header .. cmsgpack.pack(unpack(job, STATE, REASON)) .. NIL[3] .. job[FIXED]
end

-- Moments are microseconds since 1970: a double holds them exactly until the year 2255, and redis.call writes its
-- numbers with all of their digits, unlike `tostring` and `..`.
local base = KEYS[1]
local JOBS = base .. ':jobs'        -- hash: id -> job
local LIVE = base .. ':live'        -- ids of jobs that have not ended, by id
local HELD = base .. ':held'        -- ids of jobs that wait for their children, by id
local SETTLED = base .. ':settled'  -- ids of those that are to be let go, or to fail, by id
local RUNNING = base .. ':running'  -- ids by lease_until

local MOST = 4000  -- arguments in one command: Lua can unpack no more than some 8,000

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

-- Children of a job that failed or were cancelled, by id; and those that could be forgotten, but for it, by keep_until.
local function lost_of(id)
  return base .. ':lost:' .. id
end

local function spared_of(id)
  return base .. ':spared:' .. id
end

-- Writes gather here until `write`, for one command that takes many is several times as quick as many that take one.
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

local function set(key, field, value)
  local args = gather('HSET', key)
  local n = #args
  args[n + 1], args[n + 2] = field, value
end

local function unset(key, field)
  local args = gather('HDEL', key)
  args[#args + 1] = field
end

local function save(id, job, packed)
  packed = packed or pack_job(job)
  set(JOBS, id, packed)
  return packed
end

-- Numbers of jobs, in hashes by field: what is added to them gathers too. A field that comes to nothing is removed.
local tallies = {}

local function tally(key, field, n)
  local fields = tallies[key]
  if not fields then
    fields = {}
    tallies[key] = fields
  end
  fields[field] = (fields[field] or 0) + n
end

local function add_up(key, numbers)
  local fields, sums, none = {}, {}, {}
  for field, n in pairs(numbers) do
    if n ~= 0 then fields[#fields + 1] = field end
  end
  for first = 1, #fields, MOST / 2 do
    local last = math.min(first + MOST / 2 - 1, #fields)
    for i, old in ipairs(redis.call('HMGET', key, unpack(fields, first, last))) do
      local field = fields[first + i - 1]
      local sum = (old or 0) + numbers[field]
      if sum == 0 then
        none[#none + 1] = field
      else
        sums[#sums + 1], sums[#sums + 2] = field, sum
      end
    end
    if #sums > 0 then redis.call('HSET', key, unpack(sums)) end
    if #none > 0 then redis.call('HDEL', key, unpack(none)) end
    sums, none = {}, {}
  end
end

-- Write what has gathered. A job moves once at most until then, so the order among different places is of no account.
local function write()
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
  for key, fields in pairs(tallies) do add_up(key, fields) end
  gathered, order, tallies = {ZADD = {}, ZREM = {}, HSET = {}, HDEL = {}, UNLINK = {}}, {}, {}
end

-- Two texts as one, that goes by the first: the NUL lets a shorter one go before, and the length of the second comes
-- last.
local function joined(first, second)
  return first .. '\0' .. second .. string.format('%08d', #second)
end

local function parted(both)
  local size = tonumber(string.sub(both, -8))
  return string.sub(both, 1, -10 - size), string.sub(both, -8 - size, -9)
end

-- A function of two values that remembers what it made of them: to make a text takes longer than to look it up.
local function remembering(make)
  local known = {}
  return function(first, second)
    local those = known[first]
    if not those then
      those = {}
      known[first] = those
    end
    if not those[second] then those[second] = make(first, second) end
    return those[second]
  end
end

-- Two texts as one, whatever is in them.
local pair = remembering(function(first, second) return #first .. ':' .. first .. second end)

-- A moment or another whole number, as sixteen characters that go by it.
local function digits(number)
  if number < 0 then return string.format('-%015.0f', 1e15 + number) end
  return string.format('%016.0f', number)
end
