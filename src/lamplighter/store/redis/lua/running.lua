-- The ids of all running jobs, unless they are too many.
-- KEYS[1] {prefix}   ARGV[1] how many are too many
-- Returns the ids, or nothing if they are too many.
local running = KEYS[1] .. ':running'
if redis.call('ZCARD', running) >= tonumber(ARGV[1]) then return false end
return redis.call('ZRANGE', running, 0, -1)
