-- Who waits before a gate is let go when it has room. (Include after _gates, _changed and _places.)
local MOST_LET_GO = 1000  -- jobs of one queue before one gate
local MOST_LOOKED_AT = 200  -- places where jobs wait, in one script

-- What there is to know of these places, from a hash of numbers.
local function numbers_of(key, befores)
  local numbers = redis.call('HMGET', key, unpack(befores))
  for i in ipairs(befores) do numbers[i] = tonumber(numbers[i] or 0) end
  return numbers
end

-- Who may go from each place that is due: their spots, and in which place each is. Notes when to look there again.
local function who_may_go(befores, now)
  local keys, found, place_of = {}, {}, {}
  for i, before in ipairs(befores) do keys[i] = parted(before) end
  load_gates(keys)
  local candidates = numbers_of(CANDIDATES, befores)
  for i, before in ipairs(befores) do
    local g, rule = gate(keys[i])
    local room = math.min(room_at(g, rule, now) - candidates[i], MOST_LET_GO)
    local spots = room > 0 and redis.call('ZRANGE', wait(before), 0, room - 1) or {}
    for _, spot in ipairs(spots) do
      found[#found + 1], place_of[#place_of + 1] = spot, i
    end
    local look_at = #spots == MOST_LET_GO and 0 or next_look(g, rule, now)
    if look_at then put(LOOK_AT, look_at, before) else take(LOOK_AT, before) end
    if #found >= MOST_LET_GO then break end  -- the rest is due still
  end
  return found, place_of
end

-- Have those stand in the line of their queue again whose gate has room for them; returns how many.
local function release(now)
  look_on_all()
  local befores = redis.call('ZRANGEBYSCORE', LOOK_AT, '-inf', now, 'LIMIT', 0, MOST_LOOKED_AT)
  if #befores == 0 then return 0 end
  local spots, place_of = who_may_go(befores, now)
  local ids, tenants, passed = {}, {}, numbers_of(PASSED, befores)
  for n, spot in ipairs(spots) do ids[n] = id_at(spot) end
  local jobs = load(ids)
  for _, job in pairs(jobs) do tenants[#tenants + 1] = job[TENANT] end
  load_weights(tenants)
  for n, id in ipairs(ids) do
    local job, i = jobs[id], place_of[n]
    if job then
      step_out(id, job)
      passed[i] = math.max(passed[i], job[PLACE] + charge_of(job[TENANT]))
      job[LET_GO], job[WAITS_ON] = job[WAITS_ON], nil
      step_in(id, job)
      save(id, job)
    else  -- the server evicted it
      take(wait(befores[i]), spots[n])
    end
  end
  for i, place in ipairs(passed) do
    if place > 0 then set(PASSED, befores[i], place) end
  end
  flush()
  return #ids
end
