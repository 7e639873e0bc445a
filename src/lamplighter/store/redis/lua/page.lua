-- The newest jobs of one place that match, from a stretch of it that is short enough to be read in one go.
-- KEYS[1] {prefix}
-- ARGV[1] the place, an index of ids by id (such as live or done); '' for the ids given
-- ARGV[2] where to begin, as ZREVRANGEBYLEX has it   ARGV[3] limit   ARGV[4] how many ids to look at, at most
-- ARGV[5] msgpack: the filters [states, queues, names, tenants, groups]   ARGV[6...] ids, newest first
-- Returns the last id that was looked at ('' when there are no more), then pairs of an id and the job as msgpack; to a
-- job that has children four more fields are added, how many were added, are done, failed, cancelled.
-- include _job
-- include _children
local place_of_ids, limit, most = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local filters, fields = {}, {2, 19, 26, 24, 29}  -- state, queue, name, tenant, group; the first is where it stopped
for i, wanted in ipairs(cmsgpack.unpack(ARGV[5])) do
  if #wanted > 0 then
    local set = {}
    for _, value in ipairs(wanted) do set[value] = true end
    filters[#filters + 1] = {fields[i], set}
  end
end

-- A job that is of no group, and has none, ends before that field.
local function fields_of(job)
  return {cmsgpack.unpack_limit(job, string.sub(job, 1, 3) == HEADER and 25 or 28, #HEADER)}
end

local function with_counts(id, job)
  if string.sub(job, 1, 3) == HEADER or not unpack_job(job)[TOTAL] then return job end
  local counted = redis.call('HMGET', group_of(id), 'a', 'd', 'f', 'c')
  for i = 1, 4 do counted[i] = tonumber(counted[i] or 0) end
  return '\220\000\034' .. string.sub(job, 4) .. cmsgpack.pack(unpack(counted))
end

local function matches(job)
  for _, filter in ipairs(filters) do
    local value = job[filter[1]]
    if value == nil or not filter[2][value] then return false end
  end
  return true
end

local ids, n = {unpack(ARGV, 6)}, #ARGV - 5
if place_of_ids ~= '' then
  n = #filters == 0 and math.min(limit, most) or most
  ids = redis.call('ZREVRANGEBYLEX', base .. ':' .. place_of_ids, ARGV[2], '-', 'LIMIT', 0, n)
end
local answer, step, last = {''}, 100, 0
while last < #ids and #answer < limit * 2 + 1 do
  local packed = redis.call('HMGET', JOBS, unpack(ids, last + 1, math.min(last + step, #ids)))
  for _, job in ipairs(packed) do
    last = last + 1
    if job and #answer < limit * 2 + 1 and (#filters == 0 or matches(fields_of(job))) then
      answer[#answer + 1] = ids[last]
      answer[#answer + 1] = with_counts(ids[last], job)
      if #answer >= limit * 2 + 1 then break end
    end
  end
end
if last > 0 and (last < #ids or #ids == n and place_of_ids ~= '') then answer[1] = ids[last] end
return answer
