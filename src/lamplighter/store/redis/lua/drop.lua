-- Remove a record, if it is there.
-- KEYS[1] {prefix}   ARGV[1] kind   ARGV[2] name
-- Returns nothing.
redis.call('HDEL', KEYS[1] .. ':records:' .. ARGV[1], ARGV[2])
redis.call('ZREM', KEYS[1] .. ':fading', cmsgpack.pack(ARGV[1], ARGV[2]))
