-- Forget ended jobs, but for the children of live ones.
-- KEYS[1] {prefix}   ARGV[1...] ids
-- Returns the ids of those that were forgotten.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _children
local forgotten, jobs = {}, load(ARGV)
for _, id in ipairs(ARGV) do
  local job = jobs[id]
  local ended = job and ENDED_IDS[job[STATE]]
  if ended and not (job[GROUP] and redis.call('ZSCORE', LIVE, job[GROUP])) then
    leave(id, job)
    forget_relations(id, job)
    forget(id)
    forgotten[#forgotten + 1] = id
  end
end
flush()
return forgotten
