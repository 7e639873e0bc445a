-- What limits and tenants learn of jobs that stopped running. (Include after _gates and _places.)
local freed, oks, bads, keys_freed = {}, {}, {}, {}
local ran = {}  -- jobs, as they ran

-- A job stopped running: well, badly, or (nil) so that it says nothing about its limits. Call it before the job
-- changes.
local function note_end(job, well)
  ran[#ran + 1] = {job[QUEUE], job[PRIORITY], job[TENANT], job[STARTED_AT]}
  for _, key in ipairs(job[LIMITS] or {}) do
    if not freed[key] then
      freed[key], oks[key], bads[key] = 0, 0, 0
      keys_freed[#keys_freed + 1] = key
    end
    freed[key] = freed[key] + 1
    if well then oks[key] = oks[key] + 1 end
    if well == false then bads[key] = bads[key] + 1 end
  end
end

-- Charge tenants for how long their jobs ran, where their line is still known.
local function charge_time(now)
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

-- Tell limits and tenants of the jobs that ended. Call it after `flush`.
local function settle(now)
  load_gates(keys_freed)
  for _, key in ipairs(keys_freed) do
    local g, rule = change_gate(key)
    jobs_ended(g, rule, freed[key], oks[key], bads[key], now)
  end
  look_at_all_once(keys_freed)
  charge_time(now)
end
