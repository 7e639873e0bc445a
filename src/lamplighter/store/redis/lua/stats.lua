-- How many jobs each queue has in each state, which queues are paused, and what has waited longest in line.
-- KEYS[1] {prefix}   ARGV[1] how many lines of a class are looked at
-- Returns a list of pairs, state letter with queue and number of jobs; a list of queues; and a list of pairs, queue and
-- since when its oldest job is due.
-- include _job
-- include _lines
local oldest, queues = {}, {}

for _, class in ipairs(redis.call('HKEYS', HEAD_OF)) do
  local _, queue = parts_of(class)
  for _, tenant in ipairs(redis.call('ZRANGE', tags_of(class), 0, ARGV[1] - 1)) do
    local due = tonumber(redis.call('ZRANGE', line(class, tenant), 0, 0, 'WITHSCORES')[2])
    if due and not oldest[queue] then queues[#queues + 1] = queue end
    if due then oldest[queue] = math.min(oldest[queue] or due, due) end
  end
end

local found = {}
for _, queue in ipairs(queues) do
  local n = #found
  found[n + 1], found[n + 2] = queue, string.format('%.0f', oldest[queue])
end
return {redis.call('HGETALL', base .. ':counts'), redis.call('SMEMBERS', PAUSED), found}
