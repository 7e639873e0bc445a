-- Lines that a job logged, the oldest first: those that follow a place, or the last.
-- KEYS[1] {prefix}   ARGV[1] id   ARGV[2] how many   ARGV[3] the fence of the place, if there is one   ARGV[4] its n
-- Returns msgpack for each: [fence, n, at, level, message, fields]
-- include _job
-- include _log
local key, most, fence, n = log_of(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local STRETCH = 100
if most <= 0 then return {} end
if not fence then return redis.call('LRANGE', key, -most, -1) end
local first = redis.call('LLEN', key)
while first > 0 do  -- from the end, for who follows a job has most of them
  local from = math.max(0, first - STRETCH)
  local lines = redis.call('LRANGE', key, from, first - 1)
  for i = #lines, 1, -1 do
    if not comes_after(cmsgpack.unpack(lines[i]), fence, n) then
      return redis.call('LRANGE', key, from + i, from + i + most - 1)
    end
  end
  first = from
end
return redis.call('LRANGE', key, 0, most - 1)
