-- The gates of limits' keys. (Include after _waits, _rules and _gate.)
local GATES = base .. ':gates'    -- hash: key -> gate
local KNOWN = base .. ':known'    -- the same keys, in order
local UNTOLD = base .. ':untold'  -- keys of gates whose breaker turned since a sweep told of it
local gates, changed = {}, {}

local function is_untold(g)
  return is_open(g) ~= g.told
end

-- Read the gates of these keys, and the rules of their limits, each once for a script.
local function load_gates(keys)
  local new, limits = {}, {}
  for _, key in ipairs(keys) do
    if not gates[key] then
      gates[key] = true
      new[#new + 1], limits[#limits + 1] = key, limit_of(key)
    end
  end
  load_rules('limit', limits)
  for first = 1, #new, MOST do
    for i, packed in ipairs(redis.call('HMGET', GATES, unpack(new, first, math.min(first + MOST - 1, #new)))) do
      local g = unpack_gate(packed, rules.limit[limits[first + i - 1]])
      if is_untold(g) then g.was_untold = true end
      gates[new[first + i - 1]] = g
    end
  end
end

-- A gate and its rule; name it to `load_gates` before.
local function gate(key)
  return gates[key], gates[key].rule
end

-- A gate, to be changed, and its rule.
local function change_gate(key)
  changed[key] = true
  return gate(key)
end

-- Write what has changed.
local function save_gates()
  for key in pairs(changed) do
    local g = gates[key]
    local untold = is_untold(g)
    set(GATES, key, pack_gate(g))
    if g.is_new then put(KNOWN, 0, key) end
    if untold and not g.was_untold then put(UNTOLD, 0, key) end
    if g.was_untold and not untold then take(UNTOLD, key) end
  end
  write()
end

-- See soon whether any of those who wait before these gates may go.
local function look_at_all_once(keys)
  if redis.call('EXISTS', WAITING_AT) == 0 then return end
  for first = 1, #keys, MOST do
    local last = math.min(first + MOST - 1, #keys)
    for i, waiting in ipairs(redis.call('HMGET', WAITING_AT, unpack(keys, first, last))) do
      if waiting then look_at_once(keys[first + i - 1]) end
    end
  end
end

-- Have gates do what they are told; rows of a key, a verb and until when. Call it after `flush`.
local function obey_all(orders, now)
  local keys = {}
  for i, one in ipairs(orders) do keys[i] = one[1] end
  load_gates(keys)
  for _, one in ipairs(orders) do
    local g, rule = change_gate(one[1])
    obey(g, rule, one[2], one[3], now)
  end
  look_at_all_once(keys)
end
