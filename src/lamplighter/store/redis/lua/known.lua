-- Which jobs were added before, and not forgotten yet.
-- KEYS[1] {prefix}   ARGV[1...] ids
-- Returns the ids of those that there are.
local known = {}
for i, packed in ipairs(redis.call('HMGET', KEYS[1] .. ':jobs', unpack(ARGV))) do
  if packed then known[#known + 1] = ARGV[i] end
end
return known
