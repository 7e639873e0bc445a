-- Lines and gates that may be forgotten. Each script looks at some, and the next goes on behind them. (Include after
-- _places and _gates.)
local SOME = 1000
local LOOKED = base .. ':looked'  -- hash: lines, gates -> where to go on

-- Some fields of a hash, each followed by its value. Also returns whether there are others behind them.
local function some_of(hash, name)
  local at, found = unpack(redis.call('HSCAN', hash, redis.call('HGET', LOOKED, name) or 0, 'COUNT', SOME))
  if at == '0' then
    redis.call('HDEL', LOOKED, name)
  else
    redis.call('HSET', LOOKED, name, at)
  end
  return found, at ~= '0'
end

-- Forget classes without jobs, and of others the empty lines that have nothing to make up for.
local function forget_lines()
  local found, others = some_of(SERVED, 'lines')
  local gone = 0
  for i = 1, #found, 2 do
    local class, served = found[i], found[i + 1]
    if redis.call('EXISTS', tags_of(class)) == 1 then
      redis.call('ZREMRANGEBYSCORE', idle_of(class), '-inf', served)
    else
      redis.call('UNLINK', idle_of(class))
      redis.call('HDEL', SERVED, class)
      gone = gone + 1
    end
  end
  return others and gone * 8 > #found
end

-- Forget of which queues the oldest are to be known, where no rule drops them and nobody waits.
local function forget_ages()
  for _, queue in ipairs(redis.call('HKEYS', DROPPING)) do
    local waiting = redis.call('HMGET', COUNTS, 'q' .. queue, 's' .. queue)
    if not (waiting[1] or waiting[2] or rule_of('queue', queue).drop) then redis.call('HDEL', DROPPING, queue) end
  end
end

-- Forget gates that are idle, and nobody waits before.
local function forget_gates(now)
  local found, others = some_of(GATES, 'gates')
  local keys = {}
  for i = 1, #found, 2 do keys[#keys + 1] = found[i] end
  if #keys == 0 then return others end
  load_gates(keys)
  local waiting, gone = redis.call('HMGET', WAITING_AT, unpack(keys)), 0
  for i, key in ipairs(keys) do
    local g, rule = gate(key)
    if not waiting[i] and is_idle(g, rule, now) then
      unset(GATES, key)
      take(KNOWN, key)
      gone = gone + 1
    end
  end
  write()
  return others and gone * 4 > #keys
end
