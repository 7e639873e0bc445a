-- Record how attempts ended, each only if its worker still holds it; their limits and tenants learn of it.
-- KEYS[1] {prefix}
-- ARGV[1] now
-- ARGV[2] msgpack values, ten for each outcome: id, fence, state, failed, run_at, result, reason, keep_until, failure,
-- and orders: rows of a gate's key, a verb, and until when
-- Returns the ids that won. Rings if any did.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _unique
-- include _children
-- include _moves
-- include _ring

-- What limits learn, and are told to do: in a function of its own, for Lua knows no more than 200 names in one.
local function tell_limits(told, now)
  -- include _rules
  -- include _gate
  -- include _gates
  -- include _ended
  settle(now)
  obey_all(told, now)
  save_gates()
end

local now, won, outcomes, ids = tonumber(ARGV[1]), {}, unpack_rows(ARGV[2], 10)
local jobs, told = load(ids), {}

-- What an outcome says about the limits of its job.
local function verdict(state, failed)
  if state == 'd' then return true end
  if failed then return false end
end

for _, outcome in ipairs(outcomes) do
  local id, fence, state, failed, run_at, result, reason, keep_until, failure, orders = unpack(outcome, 2, 11)
  local job = jobs[id]
  if job and job[STATE] == 'r' and job[FENCE] == fence then
    won[#won + 1] = id
    note_end(job, verdict(state, failed))
    for _, one in ipairs(orders or {}) do told[#told + 1] = one end
    leave(id, job)
    if failure then note_failure(id, failure) end
    if failed then job[FAILURES] = job[FAILURES] + 1 end
    job[KEEP_UNTIL] = keep_until
    if ENDED_IDS[state] then
      job[RESULT], job[REASON] = result, reason
      finish(id, job, state, now)
    elseif job[STOPPING] then
      job[REASON] = 'asked to stop'
      finish(id, job, 'c', now)
    else
      job[RUN_AT] = run_at or job[RUN_AT]
      back(id, job, state, now)
    end
    jobs[id] = nil  -- of two outcomes of one attempt the first wins
  end
end
if #won > 0 then
  flush()
  if #told + #ran > 0 then tell_limits(told, now) end
  settle_held()
  ring()
end
return won
