-- What the server's clock shows.
-- KEYS[1] {prefix}
-- Returns seconds since 1970, and microseconds.
return redis.call('TIME')
