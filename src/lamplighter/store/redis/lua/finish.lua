-- Record how attempts ended, each only if its worker still holds it.
-- KEYS[1] {prefix}
-- ARGV[1] now
-- ARGV[2] msgpack values, nine for each outcome: id, fence, state, failed, run_at, result, reason, keep_until, failure
-- Returns the ids that won. Rings if any did.
-- include _job
-- include _unique
-- include _children
-- include _moves
-- include _ring
local now, won, outcomes, ids = tonumber(ARGV[1]), {}, unpack_rows(ARGV[2], 9)
local jobs = load(ids)
for _, outcome in ipairs(outcomes) do
  local id, fence, state, failed, run_at, result, reason, keep_until, failure = unpack(outcome, 2, 10)
  local job = jobs[id]
  if job and job[STATE] == 'r' and job[FENCE] == fence then
    won[#won + 1] = id
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
  settle_up()
  ring()
end
return won
