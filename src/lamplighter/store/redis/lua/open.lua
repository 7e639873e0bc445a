-- Mark what is under this prefix as ours, of this schema, unless it is marked already.
-- KEYS[1] {prefix}   ARGV[1] our schema number
-- Returns the schema number that is there now.
redis.call('SETNX', KEYS[1] .. ':schema', ARGV[1])
return redis.call('GET', KEYS[1] .. ':schema')
