-- Pause a queue, or let it go on. Its line is among the heads only while it is not paused.
-- KEYS[1] {prefix}   ARGV[1] queue   ARGV[2] SADD to pause it, SREM to let it go on
-- Returns nothing. Rings.
-- include _job
-- include _ring
redis.call(ARGV[2], PAUSED, ARGV[1])
rehead(ARGV[1])
ring()
