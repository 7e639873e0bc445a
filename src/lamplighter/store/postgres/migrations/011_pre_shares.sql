-- The lines of a queue that have jobs: by priority, then who is next. How many wait is counted once for all of them: what has
-- come on top of the counts is gone through from the beginning, and without workers nobody makes that short.
CREATE OR REPLACE FUNCTION shares(of_queue text, most integer)
RETURNS TABLE (queue text, priority integer, tenant text, queued bigint, tag bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM own();
    PERFORM fold_lines();
    RETURN QUERY
        WITH first AS MATERIALIZED (
            SELECT l.* FROM lines AS l WHERE l.queue = of_queue AND l.active
            ORDER BY l.priority DESC, l.tag, l.tenant LIMIT most
        ), counted AS MATERIALIZED (
            SELECT t.priority, t.tenant, sum(t.n)::bigint AS n FROM waiting_totals AS t
            WHERE t.queue = of_queue AND t.state = 'queued' AND t.gate = ''
            GROUP BY t.priority, t.tenant
        )
        SELECT l.queue, l.priority, l.tenant, c.n, l.tag
        FROM first AS l LEFT JOIN counted AS c ON c.priority = l.priority AND c.tenant = l.tenant
        ORDER BY l.priority DESC, l.tag, l.tenant;
END $$;

-- What every function has that is called from outside: see the end of the step `sweep`.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION shares(text, integer) SET search_path = %I, pg_temp SET enable_seqscan = off '
        'SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off '
        'SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = force_generic_plan SET jit = off',
        current_schema());
END $$;
