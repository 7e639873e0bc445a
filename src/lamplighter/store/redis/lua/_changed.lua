-- A limit's rule has changed: it counts at once for those who wait before its gates. (Include after _job.)
local WAITS, LOOK_AT = base .. ':waits', base .. ':look_at'
local STRETCH = 1000

-- Look at once at those places in a range of `waits` whose gate's key is of the limit. Returns whether there are any.
local function look_within(from, to, limit)
  local any = false
  repeat
    local befores = redis.call('ZRANGEBYLEX', WAITS, from, to, 'LIMIT', 0, STRETCH)
    for _, before in ipairs(befores) do
      if string.match(parted(before), '^[^:]*') == limit then
        put(LOOK_AT, 0, before)
        any = true
      end
    end
    write()
    from = '(' .. (befores[#befores] or '')
  until #befores < STRETCH
  return any
end

-- Its keys are its name alone, or go on with a colon.
local function rule_changed(limit)
  local plain = look_within('[' .. limit .. '\0', '(' .. limit .. '\1', limit)
  return look_within('[' .. limit .. ':', '(' .. limit .. ';', limit) or plain
end
