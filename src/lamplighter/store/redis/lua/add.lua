-- Add jobs in order; an id that is known stays as it is, and a job whose key is held is not added.
-- KEYS[1] {prefix}
-- ARGV[1] now   ARGV[2...] for each job: its id, the job as msgpack, the id of its parent or ''
-- Returns pairs of a place in the batch (from 1) and the holder's id, for each job that was not added.
-- Rings if any was added.
-- include _job
-- include _unique
-- include _ring
local now, ids, seen, refused = tonumber(ARGV[1]), {}, {}, {}
for i = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
for first = 1, #ids, MOST do
  for i, packed in ipairs(redis.call('HMGET', JOBS, unpack(ids, first, math.min(first + MOST - 1, #ids)))) do
    if packed then seen[ids[first + i - 1]] = true end
  end
end
local saved = gather('HSET', JOBS)
for i, id in ipairs(ids) do
  if not seen[id] then
    local packed = ARGV[i * 3]
    local job = unpack_job(packed)
    local till = job[MODE] == 'period' and job[UNTIL] or nil
    local holder = job[KEY] and take_key(id, job, till, now, ARGV[i * 3 + 1]) or id
    if holder == id then
      seen[id] = true
      put(LIVE, 0, id)
      count(job[STATE], job[QUEUE], 1)
      if job[STATE] == 'q' then
        put(line(job[QUEUE]), 0 - job[PRIORITY], place(id, job))
        touched[job[QUEUE]] = true
      else
        put(SCHEDULED, job[RUN_AT], id)
      end
      saved[#saved + 1] = id
      saved[#saved + 1] = packed
    else
      refused[#refused + 1] = i
      refused[#refused + 1] = holder
    end
  end
end
if #saved > 0 then
  flush()
  ring()
end
return refused
