-- The rules of limits, queues and tenants, from the texts of their records: as in `core.flow_control`. (Include after _job.)
local DEFAULTS = {
  limit = {burst = 1, at_least = 10, within = 60000000, open_for = 30000000, longest = 600000000},
  queue = {charge = 'jobs', drop = false},
  tenant = {weight = 1},
}
local TEXTS, FLAGS = {charge = true}, {drop = true}  -- the fields that are no whole numbers
local KNOWN_FIELDS = {
  running = true, interval = true, burst = true, percent = true, at_least = true, within = true, open_for = true,
  longest = true, charge = true, most = true, most_per_tenant = true, drop = true, weight = true,
}
local rules = {limit = {}, queue = {}, tenant = {}}

local function fits(field, value)
  if TEXTS[field] then return value == 'jobs' or value == 'time' end
  if FLAGS[field] then return type(value) == 'boolean' end
  return type(value) == 'number' and value % 1 == 0
end

-- A rule from its text; the default one where it cannot be read.
local function read_rule(text, defaults)
  local ok, told = pcall(cjson.decode, text)
  if not ok or type(told) ~= 'table' then return defaults end
  local rule = setmetatable({}, {__index = defaults})
  for field, value in pairs(told) do
    if KNOWN_FIELDS[field] and (value ~= cjson.null or defaults[field] ~= nil) then
      if not fits(field, value) then return defaults end
      rule[field] = value
    end
  end
  return rule
end

-- Read the rules of these names, each once for a script.
local function load_rules(kind, names)
  local known, new = rules[kind], {}
  for _, name in ipairs(names) do
    if not known[name] then
      known[name] = DEFAULTS[kind]
      new[#new + 1] = name
    end
  end
  for first = 1, #new, MOST do
    local last = math.min(first + MOST - 1, #new)
    for i, packed in ipairs(redis.call('HMGET', base .. ':records:' .. kind, unpack(new, first, last))) do
      if packed then known[new[first + i - 1]] = read_rule(cmsgpack.unpack(packed)[1], DEFAULTS[kind]) end
    end
  end
end

local function rule_of(kind, name)
  if not rules[kind][name] then load_rules(kind, {name}) end
  return rules[kind][name]
end

local function limit_of(key)
  return string.sub(key, 1, (string.find(key, ':', 1, true) or 0) - 1)
end

local weighed = redis.call('EXISTS', base .. ':records:tenant') == 1  -- in most stores all tenants weigh the same

local function load_weights(tenants)
  if weighed then load_rules('tenant', tenants) end
end

local function weight_of(tenant)
  return weighed and math.max(1, rule_of('tenant', tenant).weight) or 1
end

-- What a tenant is charged for a job, in thousandths.
local function charge_of(tenant)
  return weighed and math.floor(1000 / weight_of(tenant)) or 1000
end
