-- Gates as they are, with their limits' rules.
-- KEYS[1] {prefix}
-- ARGV[1] where to begin among those that are known, as ZRANGEBYLEX has it; '' for the keys given
-- ARGV[2] how many, at most   ARGV[3...] keys
-- Returns for each: its key, the gate as msgpack or '', the rule's text or '', and how many jobs wait before it.
-- include _job
local keys, limits, answer = {unpack(ARGV, 3)}, {}, {}
if ARGV[1] ~= '' then keys = redis.call('ZRANGEBYLEX', base .. ':known', ARGV[1], '+', 'LIMIT', 0, ARGV[2]) end
if #keys == 0 then return answer end
for i, key in ipairs(keys) do limits[i] = string.match(key, '^[^:]*') end
local gates = redis.call('HMGET', base .. ':gates', unpack(keys))
local rules = redis.call('HMGET', base .. ':records:limit', unpack(limits))
local waiting = redis.call('HMGET', base .. ':waiting_at', unpack(keys))
for i, key in ipairs(keys) do
  local n = #answer
  answer[n + 1], answer[n + 2] = key, gates[i] or ''
  answer[n + 3], answer[n + 4] = rules[i] and cmsgpack.unpack(rules[i])[1] or '', tonumber(waiting[i] or 0)
end
return answer
