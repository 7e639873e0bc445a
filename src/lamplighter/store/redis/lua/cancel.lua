-- Cancel waiting jobs, and ask running ones to stop.
-- KEYS[1] {prefix}   ARGV[1] now   ARGV[2] until when to keep those that end, or ''   ARGV[3...] ids
-- Returns two lists of ids: who ended, who was asked. Rings if there are any.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _unique
-- include _children
-- include _moves
-- include _ring
local now, keep_until, ended, asked = tonumber(ARGV[1]), tonumber(ARGV[2]), {}, {}
local ids = {unpack(ARGV, 3)}
local jobs = load(ids)
for _, id in ipairs(ids) do
  local job = jobs[id]
  if job and job[STATE] == 'r' then
    job[STOPPING] = true
    save(id, job)
    asked[#asked + 1] = id
  elseif job and not ENDED_IDS[job[STATE]] then
    leave(id, job)
    job[REASON], job[KEEP_UNTIL] = 'cancelled', keep_until
    finish(id, job, 'c', now)
    ended[#ended + 1] = id
  end
end
if #ended + #asked > 0 then
  flush()
  settle_held()
  ring()
end
return {ended, asked}
