-- What a job logged. (Include after _job.)

-- List: the lines, the oldest first.
local function log_of(id)
  return base .. ':log:' .. id
end

local function comes_after(line, fence, n)
  return line[1] > fence or line[1] == fence and line[2] > n
end
