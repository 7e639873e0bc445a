-- The rule of a limit has changed: it counts at once for those who wait before its gates. (Include after _waits.)
local CHANGED = base .. ':changed'  -- hash: limit whose rule changed -> from where on its gates are to be looked at
local STRETCH = 1000  -- places where jobs wait, in one script: a limit may have any number of them

-- Look at once at the next of those places. Returns whether there are any.
local function look_on(limit, from)
  local befores = redis.call('ZRANGEBYLEX', WAITS, from, '(' .. limit .. ';', 'LIMIT', 0, STRETCH)
  for _, before in ipairs(befores) do  -- its keys are its name alone, or go on with a colon
    if string.match(parted(before), '^[^:]*') == limit then put(LOOK_AT, 0, before) end
  end
  if #befores == STRETCH then
    redis.call('HSET', CHANGED, limit, '(' .. befores[#befores])
  else
    redis.call('HDEL', CHANGED, limit)
  end
  write()
  return #befores > 0
end

local function rule_changed(limit)
  return look_on(limit, '[' .. limit .. '\0')
end

-- Go on with what earlier scripts left.
local function look_on_all()
  local left = redis.call('HGETALL', CHANGED)
  for i = 1, #left, 2 do look_on(left[i], left[i + 1]) end
end
