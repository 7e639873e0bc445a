-- Why attempts of a job failed, oldest first.
-- KEYS[1] {prefix}   ARGV[1] id
-- Returns msgpack for each: [fence, at, kind, error, message, traceback]
return redis.call('LRANGE', KEYS[1] .. ':failures:' .. ARGV[1], 0, -1)
