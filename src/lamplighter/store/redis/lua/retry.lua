-- Queue ended and scheduled jobs now, with their failures and crashes forgiven; the fence never goes back. Ended ones
-- that have children are held again.
-- KEYS[1] {prefix}   ARGV[1] now   ARGV[2...] ids
-- Returns the ids that were queued. Rings if there are any.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _unique
-- include _children
-- include _ring
local now, queued = tonumber(ARGV[1]), {}
local ids = {unpack(ARGV, 2)}
local jobs = load(ids)
for _, id in ipairs(ids) do
  local job = jobs[id]
  local ended = job and ENDED_IDS[job[STATE]]
  if ended or job and job[STATE] == 's' then
    leave(id, job)
    if ended then
      if job[GROUP] then count_child(job[GROUP], job[STATE], -1) end
      put(LIVE, 0, id)
      if job[KEY] and job[MODE] ~= 'period' then take_key(id, job, nil, now) end
    end
    job[STATE], job[RUN_AT], job[FAILURES], job[CRASHES] = ended and job[TOTAL] and 'h' or 'q', now, 0, 0
    if job[STATE] == 'h' then look_at_held(id) end
    job[WORKER], job[STARTED_AT], job[ENDED_AT], job[KEEP_UNTIL] = nil, nil, nil, nil
    job[RESULT], job[REASON] = nil, nil
    enter(id, job)
    queued[#queued + 1] = id
  end
end
if #queued > 0 then
  flush()
  settle_held()
  ring()
end
return queued
