-- Sweeps: what time makes true, and what is forgotten because it makes no difference any more.

-- How far the last `forget_idle` came in the gates: it goes through them a thousand at a time.
ALTER TABLE about ADD gates_seen text COLLATE "C" NOT NULL DEFAULT '';

-- When there is something to do: the earliest scheduled job comes due, the earliest lease runs out, a gate is to be looked
-- at; or at once, for held jobs whose children are settled, and for what happened to gates.
CREATE FUNCTION next_moment() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM groups WHERE settled)
        OR EXISTS (SELECT FROM gates WHERE told <> (held OR openings > 0))
        OR must_fold_gates()
        OR (SELECT count(*) FROM (SELECT FROM gate_changes LIMIT 1000) AS c) = 1000 THEN
        RETURN 0;
    END IF;
    RETURN least((SELECT min(run_at) FROM jobs WHERE state = 'scheduled'),
                 (SELECT min(lease_until) FROM jobs WHERE state = 'running'),
                 (SELECT min(look_at) FROM waits));
END $$;

-- Settle up to `most` jobs that are held; queue up to `most` scheduled ones that are due, and up to `most` whose lease ran
-- out (as a crash); have jobs go whose gates have room, and tell of breakers that turned. What is done by one at a time is
-- left to another if one is at it.
CREATE FUNCTION sweep(most integer, now bigint, OUT due integer, OUT rescued text[], OUT next_at bigint, OUT failed text[],
                      OUT told jsonb) LANGUAGE plpgsql AS $$
DECLARE
    moves move[];
    came integer;
    passed integer; -- held jobs that could go on, but are in the hands of others
    left_over integer;
    gone bigint := 0;
    owned boolean;
    busy boolean; -- another sweep is at the groups: it may have looked too early for what is there by now
BEGIN
    due := 0;
    rescued := '{}';
    failed := '{}';
    told := '[]';
    PERFORM fold_counts(500);
    busy := (EXISTS (SELECT FROM group_changes) OR EXISTS (SELECT FROM groups WHERE settled)) AND NOT alone('groups');
    PERFORM fold_groups();
    next_at := next_moment();
    IF (next_at <= now OR busy) IS NOT TRUE THEN
        RETURN;
    END IF;
    SELECT s.due, s.failed, s.passed INTO due, failed, passed FROM settle_held(most, now) AS s;
    UPDATE jobs SET state = 'queued' WHERE id = ANY (ARRAY(
        SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= now ORDER BY run_at, id LIMIT most
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS came = ROW_COUNT;
    SELECT array_agg(ROW(
        a.nth, a.id, a.fence, CASE WHEN a.stopping THEN 'cancelled' ELSE 'queued' END, 0, 1, NULL, NULL, NULL,
        CASE WHEN a.stopping THEN 'asked to stop' END,
        jsonb_build_array(now, 'crash', 'WorkerLost', format('worker %s stopped renewing its lease.', a.worker), ''),
        a.unique_key, a.unique_mode, a.queue, a.priority, a.tenant, a.started_at, a.limits, NULL)::move ORDER BY a.nth)
    INTO moves FROM (
        SELECT row_number() OVER () AS nth, j.* FROM (
            SELECT * FROM jobs WHERE state = 'running' AND lease_until <= now ORDER BY lease_until, id LIMIT most
            FOR UPDATE SKIP LOCKED
        ) AS j
    ) AS a;
    IF moves IS NOT NULL THEN
        PERFORM apply(moves, now);
        PERFORM settle(moves, now);
        rescued := ARRAY(SELECT m.id FROM unnest(moves) AS m ORDER BY m.place);
    END IF;
    PERFORM fold_groups();
    owned := alone('lines');
    IF owned THEN
        PERFORM fold_gates();
        gone := let_go(now);
        told := turned();
    END IF;
    next_at := next_moment();
    IF next_at <= now THEN -- there is more, or another owner is at it, or a transaction has it in its hands, perhaps for long
        left_over := (SELECT count(*) FROM (SELECT FROM groups WHERE settled LIMIT passed + 1) AS g);
        next_at := now + CASE WHEN came = most OR cardinality(rescued) = most OR left_over > passed OR gone >= 1000
                              THEN 0
                              WHEN NOT owned THEN 20000 ELSE 1000000 END;
    END IF;
    IF busy THEN
        next_at := now;
    END IF;
    due := due + came + gone;
END $$;

-- Forget lines, gates and classes that make no difference any more: so many at a time.
CREATE FUNCTION forget_idle(now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    from_key text;
    seen text[];
BEGIN
    IF NOT alone('lines') THEN
        RETURN;
    END IF;
    PERFORM fold_gates();
    PERFORM fold_lines();
    DELETE FROM lines AS l USING (
        SELECT i.* FROM classes AS c CROSS JOIN LATERAL (
            SELECT l.queue, l.priority, l.tenant FROM lines AS l
            WHERE l.queue = c.queue AND l.priority = c.priority AND NOT l.active AND l.tag <= CASE WHEN EXISTS (
                SELECT FROM lines AS a WHERE a.queue = c.queue AND a.priority = c.priority AND a.active OFFSET 0
            ) THEN c.served ELSE 9223372036854775807 END
        ) AS i LIMIT 1000
    ) AS i
    WHERE l.queue = i.queue AND l.priority = i.priority AND l.tenant = i.tenant;
    DELETE FROM classes AS c
    WHERE NOT EXISTS (SELECT FROM lines AS l WHERE l.queue = c.queue AND l.priority = c.priority OFFSET 0);
    SELECT gates_seen INTO from_key FROM about;
    seen := ARRAY(SELECT key FROM gates WHERE key > from_key ORDER BY key LIMIT 1000);
    DELETE FROM gates AS d WHERE d.key = ANY (ARRAY(
        SELECT g.key FROM unnest(seen) AS s (key) JOIN gates AS g ON g.key = s.key
        WHERE NOT (g.running > 0 OR g.held OR g.openings > 0 OR g.told) AND greatest(g.until, g.tat) <= now
          AND NOT (g.oks + g.bads > 0 AND now < g.since + coalesce((
              SELECT r.within FROM rules AS r WHERE r.name = limit_of(g.key)), 60000000))
          AND NOT EXISTS (SELECT FROM waits AS w WHERE w.key = g.key OFFSET 0)));
    UPDATE about SET gates_seen = CASE WHEN cardinality(seen) < 1000 THEN '' ELSE seen[1000] END
    WHERE cardinality(seen) = 1000 OR from_key <> '';
END $$;

-- A function that is called from outside finds its tables whatever the caller's search_path is, and goes by its indexes
-- whatever the planner believes of tables that grow and shrink within seconds; and so does all that it calls.
CREATE FUNCTION go_by_indexes(name regprocedure) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION %s SET search_path = %I, pg_temp SET enable_seqscan = off SET enable_hashjoin = off '
        'SET enable_mergejoin = off SET enable_bitmapscan = off SET max_parallel_workers_per_gather = 0 '
        'SET plan_cache_mode = force_generic_plan SET jit = off', name, current_schema());
END $$;

SELECT go_by_indexes(oid) FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace AND proname IN (
    'add', 'finish', 'beat', 'cancel', 'retry', 'prune', 'claim', 'sweep', 'gates_as_of', 'shares', 'order_gates',
    'children_of', 'fold_counts');

-- Triggers only find their tables: whoever calls what they are of goes by indexes.
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND prorettype = 'trigger'::regtype
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
    END LOOP;
END $$;
