-- One gate: what it does under a rule at a moment, as `core.flow_control.Gate` says.
local LOOK_AGAIN, UNBOUNDED = 1000000, 2147483647

-- A gate that nothing is known of. What others have in common with it they need not hold.
local FRESH = {
  running = 0, tat = 0, shut_until = 0, openings = 0, probing = false, held = false, oks = 0, bads = 0, since = 0,
  told = false,
}
local like_fresh = {__index = FRESH}

-- It is stored as a msgpack array, whose fields `gates.py` has in the same order; often only the first two say
-- anything.
local SHORT, LONG = '\146', '\154'

local function pack_gate(g)
  if g.openings == 0 and g.shut_until == 0 and g.since == 0 and not (g.held or g.told) then
    return SHORT .. cmsgpack.pack(g.running, g.tat)
  end
  return LONG .. cmsgpack.pack(
    g.running, g.tat, g.shut_until, g.openings, g.probing, g.held, g.oks, g.bads, g.since, g.told
  )
end

local function unpack_gate(packed, rule)
  local g, _ = setmetatable({running = 0, tat = 0, rule = rule, is_new = not packed}, like_fresh)
  if packed and string.sub(packed, 1, 1) == SHORT then
    _, g.running, g.tat = cmsgpack.unpack_limit(packed, 2, 1)
  elseif packed then
    _, g.running, g.tat, g.shut_until, g.openings, g.probing, g.held, g.oks, g.bads, g.since, g.told =
      cmsgpack.unpack_limit(packed, 10, 1)
  end
  return g
end

local function is_open(g)
  return g.held or g.openings > 0
end

-- How far GCRA's theoretical arrival time may be ahead.
local function tolerance(rule)
  return (rule.interval or 0) * (rule.burst - 1)
end

-- How many jobs it would let through now.
local function room_at(g, rule, now)
  if g.held or now < g.shut_until then return 0 end
  local room = UNBOUNDED
  if rule.running then room = rule.running - g.running end
  if rule.interval then
    local ahead = math.max(g.tat, now) - now
    room = math.min(room, math.floor((tolerance(rule) - ahead) / rule.interval) + 1)
  end
  if g.openings > 0 then room = math.min(room, g.probing and 0 or 1) end
  return math.max(0, room)
end

-- When time alone opens it; nothing where a job has to end first, or an operator to close the breaker.
local function opens_at(g, rule)
  local full = rule.running and g.running >= rule.running
  if full or g.held or g.openings > 0 and g.probing then return nil end
  return math.max(g.shut_until, g.tat - tolerance(rule))
end

-- When to see again whether those who wait may go.
local function next_look(g, rule, now)
  if room_at(g, rule, now) > 0 then return now + LOOK_AGAIN end
  return opens_at(g, rule)
end

-- Let one job through.
local function go_through(g, rule, now)
  g.running = g.running + 1
  if rule.interval then g.tat = math.max(g.tat, now) + rule.interval end
  if g.openings > 0 then g.probing = true end
end

-- Let nobody through for a while, longer with each time in a row.
local function trip(g, rule, now)
  local lasts = math.min(rule.longest, rule.open_for * 2 ^ math.min(g.openings, 30))
  g.openings = g.openings + 1
  g.shut_until = math.max(g.shut_until, now + lasts)
  g.probing, g.oks, g.bads = false, 0, 0
end

local function close(g, now)
  g.openings, g.probing, g.held, g.oks, g.bads, g.since = 0, false, false, 0, 0, now
end

-- Those that were sent before it opened decide nothing while it is open.
local function end_probe(g, rule, oks, bads, now)
  if g.held or now < g.shut_until then return end
  if bads > 0 then
    trip(g, rule, now)
  elseif oks > 0 then
    close(g, now)
  else
    g.probing = false
  end
end

local function judge(g, rule, oks, bads, now)
  if now >= g.since + rule.within then g.oks, g.bads, g.since = 0, 0, now end
  g.oks, g.bads = g.oks + oks, g.bads + bads
  local total = g.oks + g.bads
  if bads > 0 and total >= rule.at_least and g.bads * 100 >= rule.percent * total then trip(g, rule, now) end
end

-- So many jobs have ended, some of them well or badly.
local function jobs_ended(g, rule, freed, oks, bads, now)
  g.running = math.max(0, g.running - freed)
  if g.openings > 0 then
    end_probe(g, rule, oks, bads, now)
  elseif rule.percent then
    judge(g, rule, oks, bads, now)
  end
end

-- Do what a handler or an operator wants.
local function obey(g, rule, verb, shut_until, now)
  if verb == 'close' then
    close(g, now)
    g.shut_until, g.tat = 0, math.min(g.tat, now)
    return
  end
  g.shut_until = math.max(g.shut_until, shut_until or 0)
  if verb == 'penalize' then
    g.tat = math.max(g.tat, g.shut_until + tolerance(rule))  -- or a whole burst would follow at that moment
    return
  end
  g.openings, g.probing, g.held = g.openings + 1, false, g.held or not shut_until
end

-- Whether it may be forgotten: a new gate would do the same.
local function is_idle(g, rule, now)
  local counted = g.oks + g.bads > 0 and now < g.since + rule.within
  return not (g.running > 0 or is_open(g) or g.told or counted) and math.max(g.shut_until, g.tat) <= now
end
