-- Which schema is under this prefix.
-- KEYS[1] {prefix}
-- Returns its number, or nothing where there is none yet.
return redis.call('GET', KEYS[1] .. ':schema')
