-- The lines of a queue that have jobs: by priority, then who is next.
-- KEYS[1] {prefix}   ARGV[1] queue   ARGV[2] limit
-- Returns for each: its priority, tenant, number of jobs, and tag.
-- include _job
-- include _lines
local queue, left, answer = ARGV[1], tonumber(ARGV[2]), {}
for _, priority in ipairs(redis.call('ZRANGE', priorities_of(queue), 0, -1)) do
  if left <= 0 then break end
  local class = class_of(queue, priority)
  local found = redis.call('ZRANGE', tags_of(class), 0, left - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local n = #answer
    answer[n + 1], answer[n + 2] = priority, found[i]
    answer[n + 3], answer[n + 4] = redis.call('ZCARD', line(class, found[i])), string.format('%.0f', found[i + 1])
  end
  left = left - #found / 2
end
return answer
