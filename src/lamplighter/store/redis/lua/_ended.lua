-- What limits and tenants learn of jobs that stopped running. (Include after _moves and _gates.)

-- Charge tenants for how long their jobs ran, where their line is still known.
local function charge_time(now)
  if not timed then return end
  for _, job in ipairs(ran) do
    local queue, priority, tenant, started_at = unpack(job, 1, 4)
    if started_at and rule_of('queue', queue).charge == 'time' then
      local class = class_of(queue, priority)
      local amount = math.floor(math.max(0, now - started_at) / 1000)
      amount = math.floor(amount / weight_of(tenant)) - charge_of(tenant)
      if redis.call('ZSCORE', tags_of(class), tenant) then
        redis.call('ZINCRBY', tags_of(class), amount, tenant)
        touch(class, tenant)
      elseif redis.call('ZSCORE', idle_of(class), tenant) then
        redis.call('ZINCRBY', idle_of(class), amount, tenant)
      end
    end
  end
  settle_lines()
end

-- How many jobs of each key stopped running, and how many of them well and badly.
local function sums()
  local ended, keys = {}, {}
  for _, job in ipairs(ran) do
    local limits, well = job[5], job[6]
    for _, key in ipairs(limits) do
      local sum = ended[key]
      if not sum then
        sum = {n = 0, oks = 0, bads = 0}
        ended[key], keys[#keys + 1] = sum, key
      end
      sum.n = sum.n + 1
      if well then sum.oks = sum.oks + 1 end
      if well == false then sum.bads = sum.bads + 1 end
    end
  end
  return ended, keys
end

-- Tell limits and tenants of the jobs that stopped running. Call it after `flush`.
local function settle(now)
  local ended, keys = sums()
  load_gates(keys)
  for _, key in ipairs(keys) do
    local g, rule = change_gate(key)
    jobs_ended(g, rule, ended[key].n, ended[key].oks, ended[key].bads, now)
  end
  look_at_all_once(keys)
  charge_time(now)
end
