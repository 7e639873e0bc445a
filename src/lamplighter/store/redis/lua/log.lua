-- Keep what running jobs log: of each the last lines, in a list.
-- KEYS[1] {prefix}
-- ARGV[1] how many lines to keep   ARGV[2] msgpack values, three for each attempt: id, fence, and its lines, each
-- [fence, n, at, level, message, fields]
-- Returns nothing.
-- include _job
-- include _log
local keep, logged, ids = tonumber(ARGV[1]), unpack_rows(ARGV[2], 3)
local jobs = load(ids)
for _, one in ipairs(logged) do
  local id, fence, lines = unpack(one, 2, 4)
  local job, key, new = jobs[id], log_of(id), {}
  if job and job[STATE] == 'r' and job[FENCE] == fence then
    local last = redis.call('LINDEX', key, -1)
    last = last and cmsgpack.unpack(last)
    for _, line in ipairs(lines) do
      if not last or comes_after(line, last[1], last[2]) then new[#new + 1] = cmsgpack.pack(line) end
    end
    for first = 1, #new, MOST do
      redis.call('RPUSH', key, unpack(new, first, math.min(first + MOST - 1, #new)))
    end
    if #new > 0 then redis.call('LTRIM', key, -keep, -1) end
  end
end
