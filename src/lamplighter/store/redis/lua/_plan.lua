-- Who is next in a class: its lines, merged by their tags. (Include after _lines and _rules.)

-- Whether a text goes before another by its bytes. `<` goes by the server's locale; in most that is something else.
local by_bytes = 'Z' < 'a' and 'a-b' < 'aa'

local function goes_before(a, b)
  if by_bytes then return a < b end
  for i = 1, math.min(#a, #b) do
    local one, other = string.byte(a, i), string.byte(b, i)
    if one ~= other then return one < other end
  end
  return #a < #b
end

-- Whether the next job of a line goes before that of another.
local function is_ahead(one, other)
  if one.start ~= other.start then return one.start < other.start end
  return goes_before(one.tenant, other.tenant)
end

-- A heap of lines: the one that is ahead of all is the first.
local function rise(heap, at)
  local one = heap[at]
  while at > 1 do
    local above = math.floor(at / 2)
    if not is_ahead(one, heap[above]) then break end
    heap[at] = heap[above]
    at = above
  end
  heap[at] = one
end

local function sink(heap)
  local at, one, size = 1, heap[1], #heap
  while at * 2 <= size do
    local below = at * 2
    if below < size and is_ahead(heap[below + 1], heap[below]) then below = below + 1 end
    if not is_ahead(heap[below], one) then break end
    heap[at] = heap[below]
    at = below
  end
  heap[at] = one
end

local function drop_first(heap)
  heap[1] = heap[#heap]
  heap[#heap] = nil
  if #heap > 1 then sink(heap) end
end

-- The lines of a class that have jobs, up to so many, the lowest tag first.
local function lines_of(class, most)
  local served = tonumber(redis.call('HGET', SERVED, class) or 0)
  local found, tenants, lines = redis.call('ZRANGE', tags_of(class), 0, most - 1, 'WITHSCORES'), {}, {}
  for i = 1, #found, 2 do tenants[#tenants + 1] = found[i] end
  load_weights(tenants)
  local begin = line(class, '')
  for i, tenant in ipairs(tenants) do
    local tag = tonumber(found[i * 2])
    lines[i] = {
      tenant = tenant, key = begin .. tenant, tag = tag, start = tag, begins = math.max(tag, served), n = 0,
      taken = 0, charge = charge_of(tenant), size = false, jobs = false, at = 1,
    }
  end
  lines.served = served
  return lines
end

-- Whether a line has more jobs than were picked.
local function has_more(one)
  if one.n == 0 then return true end
  one.size = one.size or redis.call('ZCARD', one.key)
  return one.n < one.size
end

-- All turns are those of one line.
local function turns_of_one(one, most)
  local turns_, starts = {}, {}
  one.size = redis.call('ZCARD', one.key)
  one.n = math.min(most, one.size)
  for i = 1, one.n do
    turns_[i], starts[i] = one, i == 1 and one.tag or one.begins + (i - 1) * one.charge
  end
  return turns_, starts
end

-- The lines whose turn it is, one after the other, up to so many turns; and when each began. A line may have several
-- turns.
local function turns_of(lines, most)
  if #lines == 1 then return turns_of_one(lines[1], most) end
  local turns_, starts, heap, next = {}, {}, {}, 1
  while #turns_ < most do
    local first, again = lines[next], heap[1]
    if again and not has_more(again) then
      drop_first(heap)
    elseif again and not (first and is_ahead(first, again)) then
      turns_[#turns_ + 1], starts[#starts + 1] = again, again.start
      again.n = again.n + 1
      again.start = again.begins + again.n * again.charge
      sink(heap)
    elseif first then
      turns_[#turns_ + 1], starts[#starts + 1] = first, first.start
      first.n, first.start = 1, first.begins + first.charge
      heap[#heap + 1] = first
      rise(heap, #heap)
      next = next + 1
    else
      break
    end
  end
  return turns_, starts
end

-- Take the jobs that are next out of their lines, up to so many. Returns their ids, of each the line and when its turn
-- began, and the lines.
local function plan(class, most)
  local lines = lines_of(class, most)
  local turns_, starts = turns_of(lines, most)
  local ids, line_of, start_of = {}, {}, {}
  for _, one in ipairs(lines) do
    if one.n > 0 then one.jobs = redis.call('ZPOPMIN', one.key, one.n) end
  end
  for i, one in ipairs(turns_) do
    local id = one.jobs[one.at]
    if id then
      local n = #ids + 1
      ids[n], line_of[n], start_of[n] = id, one, starts[i]
      one.at = one.at + 2
    end
  end
  return ids, line_of, start_of, lines
end

-- Whether a line has no job left.
local function is_empty(one)
  local popped = #one.jobs / 2
  return popped < one.n or popped == one.size or redis.call('EXISTS', one.key) == 0
end

-- Of the lines that were planned some jobs were taken, the last of a turn that began then: charge their tenants.
local function serve(class, lines, latest)
  for _, one in ipairs(lines) do
    if one.n > 0 then
      local tag = one.taken > 0 and one.begins + one.taken * one.charge or one.tag
      if is_empty(one) then
        leave_line_empty(class, one.tenant, tag)
      elseif one.taken > 0 then
        put(tags_of(class), tag, one.tenant)
      end
    end
  end
  if latest > lines.served then redis.call('HSET', SERVED, class, latest) end
end
