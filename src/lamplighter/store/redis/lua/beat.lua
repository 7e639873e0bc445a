-- Renew the leases of running jobs, and store their progress. A beat that comes late shortens no lease.
-- KEYS[1] {prefix}
-- ARGV[1] until when the leases hold   ARGV[2] msgpack values, three for each beat: id, fence, progress
-- Returns two lists of ids: who must stop, who belongs to someone else by now.
-- include _job
local lease_until, beats, ids = tonumber(ARGV[1]), unpack_rows(ARGV[2], 3)
local jobs, stop, lost = load(ids), {}, {}
for _, beat in ipairs(beats) do
  local id, fence, progress = unpack(beat, 2, 4)
  local job = jobs[id]
  if job and job[STATE] == 'r' and job[FENCE] == fence then
    job[LEASE_UNTIL] = math.max(lease_until, job[LEASE_UNTIL])
    job[PROGRESS] = progress or job[PROGRESS]
    put(RUNNING, job[LEASE_UNTIL], id)
    save(id, job)
    if job[STOPPING] then stop[#stop + 1] = id end
  else
    lost[#lost + 1] = id
  end
end
write()
return {stop, lost}
