-- Have gates do what an operator wants.
-- KEYS[1] {prefix}   ARGV[1] now   ARGV[2] msgpack: rows of a gate's key, a verb, and until when
-- Returns nothing. Rings.
-- include _job
-- include _waits
-- include _rules
-- include _gate
-- include _gates
-- include _ring
obey_all(cmsgpack.unpack(ARGV[2]), tonumber(ARGV[1]))
save_gates()
ring()
