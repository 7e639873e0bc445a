-- Whether jobs fit into their queues.
-- KEYS[1] {prefix}   ARGV[1] msgpack: rows of a queue, a tenant or nil for all, and how many are to be added
-- Returns nothing if they do; or the bound beyond which they would go: its queue, its tenant or '', how many may wait.
-- include _job
-- include _lines
-- include _waits
-- include _places
-- include _rules
-- include _bounds
local counts = cmsgpack.unpack(ARGV[1])
local full = bound_that_is_full(counts)
return full and {full[1], full[2] or '', full.most} or {}
