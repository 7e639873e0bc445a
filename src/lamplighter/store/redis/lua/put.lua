-- Write a record over the one of its kind and name.
-- KEYS[1] {prefix}   ARGV[1] kind   ARGV[2] name   ARGV[3] value   ARGV[4] when it expires, or ''
-- Returns nothing.
local member, expires_at = cmsgpack.pack(ARGV[1], ARGV[2]), tonumber(ARGV[4])
redis.call('HSET', KEYS[1] .. ':records:' .. ARGV[1], ARGV[2], cmsgpack.pack({ARGV[3], expires_at}))
if expires_at then
  redis.call('ZADD', KEYS[1] .. ':fading', ARGV[4], member)
else
  redis.call('ZREM', KEYS[1] .. ':fading', member)
end
