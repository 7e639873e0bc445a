-- Unique keys and who holds them. (Include after _job.)

local UNIQUE = base .. ':unique'    -- hash: key -> msgpack of the holder's id, and until when if it has a period
local PERIODS = base .. ':periods'  -- keys that have a period, by its end

-- Give a job its key if that is free, over, or its parent's to hand on; returns who holds it then.
local function take_key(id, job, till, now, parent)
  local key = job[KEY]
  local held = redis.call('HGET', UNIQUE, key)
  if held then
    local holder, over = cmsgpack.unpack(held)
    if holder ~= parent and not (over and over <= now) then return holder end
    if over then redis.call('ZREM', PERIODS, key) end
  end
  redis.call('HSET', UNIQUE, key, till and cmsgpack.pack(id, till) or cmsgpack.pack(id))
  if till then redis.call('ZADD', PERIODS, till, key) end
  return id
end

-- Free the key of a job if that holds it, unless it is held until a moment of its own.
local function let_go(id, job)
  local held = redis.call('HGET', UNIQUE, job[KEY])
  if held then
    local holder, over = cmsgpack.unpack(held)
    if holder == id and not over then redis.call('HDEL', UNIQUE, job[KEY]) end
  end
end
