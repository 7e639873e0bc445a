-- Ended jobs by when they ended, then by id: those that follow a place.
-- KEYS[1] {prefix}   ARGV[1] when the job at that place ended   ARGV[2] its id   ARGV[3] how many
-- Returns ids and jobs, in turn.
local base = KEYS[1]
local BY_END, JOBS, most = base .. ':by_end', base .. ':jobs', tonumber(ARGV[3])
if most <= 0 then return {} end

-- The first that follows: equal scores go by id, so it is found by halving.
local function first_after(at, id)
  local low = redis.call('ZCOUNT', BY_END, '-inf', '(' .. at)
  local high = low + redis.call('ZCOUNT', BY_END, at, at)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZRANGE', BY_END, middle, middle)[1] <= id then low = middle + 1 else high = middle end
  end
  return low
end

-- What a worker of before forgot is still here by its id: it goes, and others come in its place.
local first = first_after(ARGV[1], ARGV[2])
while true do
  local ids, found, gone = redis.call('ZRANGE', BY_END, first, first + most - 1), {}, {}
  if #ids == 0 then return {} end
  for i, packed in ipairs(redis.call('HMGET', JOBS, unpack(ids))) do
    if packed then found[#found + 1], found[#found + 2] = ids[i], packed else gone[#gone + 1] = ids[i] end
  end
  if #gone == 0 then return found end
  redis.call('ZREM', BY_END, unpack(gone))
end
