-- The gates of limits' keys. (Include after _waits, _rules and _gate.)
local GATES = base .. ':gates'    -- hash: key -> gate
local UNTOLD = base .. ':untold'  -- keys of gates whose breaker turned since a sweep told of it
local gates, changed = {}, {}

local function is_untold(g)
  return is_open(g) ~= g.told
end

local function is_busy(g)
  return g.running > 0 or is_open(g) or g.shut_until > 0
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
      local g = unpack_gate(packed)
      g.was_busy, g.was_untold = is_busy(g), is_untold(g)
      gates[new[first + i - 1]] = g
    end
  end
end

-- A gate and its rule; name it to `load_gates` before.
local function gate(key)
  return gates[key], rules.limit[limit_of(key)]
end

-- A gate, to be changed, and its rule.
local function change_gate(key)
  changed[key] = true
  return gate(key)
end

-- By key, whether jobs wait before these gates.
local function whether_waited_for(keys)
  local waits = {}
  for first = 1, #keys, MOST do
    local last = math.min(first + MOST - 1, #keys)
    for i, n in ipairs(redis.call('HMGET', WAITING_AT, unpack(keys, first, last))) do
      waits[keys[first + i - 1]] = n ~= false
    end
  end
  return waits
end

-- Write what has changed. Call it last: a gate where jobs wait is busy too.
local function save_gates()
  local at_rest = {}
  for key in pairs(changed) do
    local g = gates[key]
    local busy, untold = is_busy(g), is_untold(g)
    set(GATES, key, pack_gate(g))
    if busy and not g.was_busy then put(BUSY, 0, key) end
    if g.was_busy and not busy then at_rest[#at_rest + 1] = key end
    if untold and not g.was_untold then put(UNTOLD, 0, key) end
    if g.was_untold and not untold then take(UNTOLD, key) end
  end
  for key, waits in pairs(whether_waited_for(at_rest)) do
    if not waits then take(BUSY, key) end
  end
  write()
end

-- See soon whether any of those who wait before these gates may go.
local function look_at_all_once(keys)
  for key, waits in pairs(whether_waited_for(keys)) do
    if waits then look_at_once(key) end
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
