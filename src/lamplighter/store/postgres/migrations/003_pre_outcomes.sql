-- How attempts end: finished by their worker, or taken from one that stopped renewing its lease.

-- What becomes of a job that stops running or waiting.
CREATE TYPE move AS (
    place      bigint,
    id         text,
    fence      bigint,
    target     text,
    failed     integer,
    crashed    integer,
    run_at     bigint,
    keep_until bigint,
    result     text,
    reason     text,
    failure    jsonb, -- at, kind, error, message, traceback
    key        text,
    mode       text,
    queue      text,
    priority   integer,
    tenant     text,
    started_at bigint,
    limits     text[],
    well       boolean -- NULL: that says nothing about its limits
);

-- Do all these moves of different jobs, whose rows the caller has locked.
CREATE FUNCTION apply(moves move[], now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
    forgotten text[];
BEGIN
    IF EXISTS (SELECT FROM unnest(moves) AS m WHERE m.failure IS NOT NULL) THEN
        INSERT INTO failures (job, fence, at, kind, error, message, traceback)
        SELECT m.id, m.fence, (m.failure ->> 0)::bigint, m.failure ->> 1, m.failure ->> 2, m.failure ->> 3, m.failure ->> 4
        FROM unnest(moves) AS m WHERE m.failure IS NOT NULL
        ON CONFLICT (job, fence) DO UPDATE
        SET at = excluded.at, kind = excluded.kind, error = excluded.error, message = excluded.message,
            traceback = excluded.traceback;
        DELETE FROM failures AS f USING unnest(moves) AS m -- but for the last 20 of a job
        WHERE m.failure IS NOT NULL AND f.job = m.id
          AND f.fence <= (SELECT o.fence FROM failures AS o WHERE o.job = m.id ORDER BY o.fence DESC LIMIT 1 OFFSET 20);
    END IF;
    FOR one IN
        SELECT m.id, m.key, m.target IN ('scheduled', 'queued') AS comes_back FROM unnest(moves) AS m
        WHERE m.key IS NOT NULL AND (m.mode = 'pending' OR m.target NOT IN ('scheduled', 'queued'))
        ORDER BY m.key COLLATE "C", m.place
    LOOP
        IF one.comes_back THEN -- without its key if another took that meanwhile, for a retry is never lost over a key
            PERFORM take_key_again(one.id, one.key, now);
        ELSE -- a key that a long transaction is handing on is passed over: its holder is gone, and so it is free
            DELETE FROM keys WHERE key = (
                SELECT k.key FROM keys AS k WHERE k.key = one.key AND k.job = one.id AND k.until IS NULL
                FOR UPDATE SKIP LOCKED);
        END IF;
    END LOOP;
    WITH gone AS (
        DELETE FROM jobs AS j USING unnest(moves) AS m
        WHERE j.id = m.id AND m.target NOT IN ('scheduled', 'queued')
        RETURNING j.*, m.target, m.failed, m.crashed, m.keep_until, m.result, m.reason
    ), counted AS (
        INSERT INTO group_changes (child_of, done, failed, cancelled)
        SELECT g.child_of, count(*) FILTER (WHERE g.target = 'done'), count(*) FILTER (WHERE g.target = 'failed'),
               count(*) FILTER (WHERE g.target = 'cancelled')
        FROM gone AS g WHERE g.child_of IS NOT NULL GROUP BY g.child_of
    )
    INSERT INTO ended (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, failures, crashes,
                       unique_key, unique_mode, unique_until, worker, started_at, ended_at, keep_until, result, reason,
                       limits, child_of)
    SELECT g.id, g.queue, g.name, g.tenant, g.target, g.priority, g.run_at, g.created_at, g.args, g.fence,
           g.failures + g.failed, g.crashes + g.crashed, g.unique_key, g.unique_mode, g.unique_until, g.worker,
           g.started_at, now, g.keep_until, g.result, g.reason, g.limits, g.child_of
    FROM gone AS g WHERE (g.keep_until <= now) IS NOT TRUE OR g.child_of IS NOT NULL;
    forgotten := ARRAY(
        SELECT m.id FROM unnest(moves) AS m
        WHERE m.keep_until <= now AND m.target NOT IN ('scheduled', 'queued')
          AND NOT EXISTS (SELECT FROM ended AS e WHERE e.id = m.id));
    IF forgotten <> '{}' THEN
        DELETE FROM failures WHERE job = ANY (forgotten);
        PERFORM lock_groups(forgotten);
        DELETE FROM groups WHERE id = ANY (forgotten);
    END IF;
    IF EXISTS (SELECT FROM unnest(moves) AS m WHERE m.target IN ('scheduled', 'queued')) THEN
        UPDATE jobs AS j
        SET state = m.target, run_at = coalesce(m.run_at, j.run_at), failures = j.failures + m.failed,
            crashes = j.crashes + m.crashed, worker = NULL, started_at = NULL, lease_until = NULL, progress = NULL
        FROM unnest(moves) AS m WHERE j.id = m.id AND m.target IN ('scheduled', 'queued');
    END IF;
END $$;

-- Tell the owner of jobs that stopped running: their gates, and if run time counts, what their tenants are charged for it.
CREATE FUNCTION settle(moves move[], now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    with_breakers text[];
BEGIN
    IF EXISTS (SELECT FROM unnest(moves) AS m WHERE m.limits IS NOT NULL) THEN
        with_breakers := ARRAY(SELECT name FROM rules WHERE percent IS NOT NULL);
        INSERT INTO gate_changes (key, verb, at, freed, oks, bads, plain)
        SELECT l.key, 'settle', now, count(*), count(*) FILTER (WHERE m.well), count(*) FILTER (WHERE NOT m.well),
               limit_of(l.key) <> ALL (with_breakers)
               AND l.key <> ALL (ARRAY(SELECT g.key FROM gates AS g WHERE g.openings > 0))
        FROM unnest(moves) AS m CROSS JOIN LATERAL unnest(m.limits) AS l (key) GROUP BY l.key;
    END IF;
    IF EXISTS (SELECT FROM records WHERE kind = 'queue' AND rule ->> 'charge' = 'time') THEN
        INSERT INTO line_changes (queue, priority, tenant, charge)
        SELECT m.queue, m.priority, coalesce(m.tenant, ''),
               sum(greatest(0, now - m.started_at) / 1000 / w.weight - 1000 / w.weight)
        FROM unnest(moves) AS m CROSS JOIN LATERAL (
            SELECT weight_in((SELECT t.rule FROM records AS t WHERE t.kind = 'tenant' AND t.name = coalesce(m.tenant, '')))
                AS weight OFFSET 0
        ) AS w
        WHERE (SELECT q.rule ->> 'charge' FROM records AS q WHERE q.kind = 'queue' AND q.name = m.queue) = 'time'
        GROUP BY 1, 2, 3;
    END IF;
END $$;

-- Record how attempts ended; gives the ids that won, in order.
-- An outcome: id, fence, target, failed, run_at, keep_until, result, reason, failure, whether it went well, orders.
CREATE FUNCTION finish(outcomes jsonb, now bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    moves move[];
BEGIN
    SELECT array_agg(ROW(
        o.place, j.id, j.fence,
        CASE WHEN o.comes_back AND j.stopping THEN 'cancelled' ELSE o.o ->> 2 END, (o.o ->> 3)::integer, 0,
        (o.o ->> 4)::bigint, (o.o ->> 5)::bigint,
        CASE WHEN NOT o.comes_back THEN o.o ->> 6 END,
        CASE WHEN NOT o.comes_back THEN o.o ->> 7 WHEN j.stopping THEN 'asked to stop' END,
        nullif(o.o -> 8, 'null'), j.unique_key, j.unique_mode, j.queue, j.priority,
        j.tenant, j.started_at, j.limits, (o.o ->> 9)::boolean)::move ORDER BY o.place)
    INTO moves FROM (
        SELECT DISTINCT ON ((o ->> 0) COLLATE "C", (o ->> 1)::bigint) -- of two outcomes of one attempt the first wins
               o, place, o ->> 0 AS id, (o ->> 1)::bigint AS fence, o ->> 2 IN ('scheduled', 'queued') AS comes_back
        FROM jsonb_array_elements(outcomes) WITH ORDINALITY AS e (o, place)
        ORDER BY (o ->> 0) COLLATE "C", (o ->> 1)::bigint, place
    ) AS o CROSS JOIN LATERAL (
        SELECT j.id, j.fence, j.stopping, j.unique_key, j.unique_mode, j.queue, j.priority, j.tenant, j.started_at, j.limits
        FROM jobs AS j WHERE j.id = o.id AND j.fence = o.fence AND j.state = 'running' FOR UPDATE
    ) AS j;
    IF moves IS NULL THEN
        RETURN '{}';
    END IF;
    PERFORM apply(moves, now);
    PERFORM settle(moves, now);
    IF jsonb_path_exists(outcomes, '$[*][10] ? (@ != null)') THEN
        PERFORM order_gates((
            SELECT jsonb_agg(o ORDER BY m.place, nth) FROM unnest(moves) AS m
            CROSS JOIN LATERAL jsonb_array_elements(nullif(outcomes -> (m.place - 1)::integer -> 10, 'null'))
                WITH ORDINALITY AS e (o, nth)), now);
    END IF;
    RETURN ARRAY(SELECT m.id FROM unnest(moves) AS m ORDER BY m.place);
END $$;

-- Renew leases and store progress; gives the attempts that are still their worker's, and whether each was asked to stop.
-- A beat: id, fence, progress. Locked in the order in which `finish` locks, so that the two never wait for each other.
CREATE FUNCTION beat(beats jsonb, until bigint) RETURNS TABLE (job text, attempt bigint, asked boolean)
LANGUAGE plpgsql AS $$
DECLARE
    mine jsonb;
BEGIN
    SELECT jsonb_agg(jsonb_build_array(j.id, j.fence, j.stopping, b.progress)) INTO mine FROM (
        SELECT b ->> 0 AS id, (b ->> 1)::bigint AS fence, b ->> 2 AS progress
        FROM jsonb_array_elements(beats) AS e (b) ORDER BY (b ->> 0) COLLATE "C"
    ) AS b CROSS JOIN LATERAL (
        SELECT j.id, j.fence, j.stopping FROM jobs AS j
        WHERE j.id = b.id AND j.fence = b.fence AND j.state = 'running' FOR UPDATE
    ) AS j;
    IF mine IS NULL THEN
        RETURN;
    END IF;
    UPDATE jobs SET lease_until = greatest(until, jobs.lease_until), progress = coalesce(m ->> 3, jobs.progress)
    FROM jsonb_array_elements(mine) AS e (m) WHERE jobs.id = m ->> 0;
    RETURN QUERY SELECT m ->> 0, (m ->> 1)::bigint, (m ->> 2)::boolean FROM jsonb_array_elements(mine) AS e (m);
END $$;
