-- Remove a record, if it is there.
-- KEYS[1] {prefix}   ARGV[1] kind   ARGV[2] name
-- Returns nothing. Rings if jobs wait before a limit that it was the rule of.
-- include _job
-- include _waits
-- include _changed
-- include _ring
redis.call('HDEL', base .. ':records:' .. ARGV[1], ARGV[2])
redis.call('ZREM', base .. ':fading', cmsgpack.pack(ARGV[1], ARGV[2]))
if ARGV[1] == 'limit' and rule_changed(ARGV[2]) then ring() end
