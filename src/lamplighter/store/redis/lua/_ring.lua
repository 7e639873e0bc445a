-- Tell whoever listens that jobs may have changed, once for a whole script. From Redis 7 on (where REDIS_VERSION_NUM
-- is) by a sharded channel, which stays on our node instead of going through the whole cluster.
local function ring()
  redis.call(redis.REDIS_VERSION_NUM and 'SPUBLISH' or 'PUBLISH', KEYS[1] .. ':wake', '')
end
