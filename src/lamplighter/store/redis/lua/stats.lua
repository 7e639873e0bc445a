-- How many jobs each queue has in each state, and which queues are paused.
-- KEYS[1] {prefix}
-- Returns a list of pairs, state letter with queue and number of jobs; and a list of queues.
return {redis.call('HGETALL', KEYS[1] .. ':counts'), redis.call('SMEMBERS', KEYS[1] .. ':paused')}
