-- The records of a kind, expired ones too.
-- KEYS[1] {prefix}   ARGV[1] kind
-- Returns pairs of a name and msgpack: [value, when it expires if it does]
return redis.call('HGETALL', KEYS[1] .. ':records:' .. ARGV[1])
