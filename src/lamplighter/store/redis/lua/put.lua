-- Write a record over the one of its kind and name.
-- KEYS[1] {prefix}   ARGV[1] kind   ARGV[2] name   ARGV[3] value   ARGV[4] when it expires, or ''
-- Returns nothing. Rings if jobs wait before a limit that it is the rule of.
-- include _job
-- include _waits
-- include _changed
-- include _ring
local kind, name, member, expires_at = ARGV[1], ARGV[2], cmsgpack.pack(ARGV[1], ARGV[2]), tonumber(ARGV[4])
redis.call('HSET', base .. ':records:' .. kind, name, cmsgpack.pack({ARGV[3], expires_at}))
if expires_at then
  redis.call('ZADD', base .. ':fading', ARGV[4], member)
else
  redis.call('ZREM', base .. ':fading', member)
end
if kind == 'limit' and rule_changed(name) then ring() end
