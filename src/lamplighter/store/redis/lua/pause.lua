-- Pause a queue, or let it go on. Its classes are among the heads only while it is not paused.
-- KEYS[1] {prefix}   ARGV[1] queue   ARGV[2] SADD to pause it, SREM to let it go on
-- Returns nothing. Rings.
-- include _job
-- include _lines
-- include _ring
redis.call(ARGV[2], PAUSED, ARGV[1])
for _, priority in ipairs(redis.call('ZRANGE', priorities_of(ARGV[1]), 0, -1)) do
  local head = redis.call('HGET', HEAD_OF, class_of(ARGV[1], priority))
  if ARGV[2] == 'SADD' then
    redis.call('ZREM', HEADS, head)
  else
    redis.call('ZADD', HEADS, 0 - priority, head)
  end
end
ring()
