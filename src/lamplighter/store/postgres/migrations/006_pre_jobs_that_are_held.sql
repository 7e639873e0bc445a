-- What was there before, now that jobs may be held, and may be children. See 005 for what is called here.

-- As before, but a holder that is held for its children is not replaced.
CREATE OR REPLACE FUNCTION take_key_or_holder(taker text, called text, wanted text, held_until bigint, now bigint,
                                              parent text, OUT holder text, OUT waits boolean) LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        holder := take_key(taker, wanted, held_until, now, parent);
        waits := false;
        IF holder = taker THEN
            RETURN;
        END IF;
        PERFORM FROM jobs AS j WHERE j.id = holder AND j.name = called AND j.state IN ('scheduled', 'queued') FOR UPDATE;
        IF FOUND THEN
            waits := EXISTS (SELECT FROM keys AS k WHERE k.key = wanted AND k.job = holder);
        END IF;
        IF waits OR EXISTS ( -- it is still the holder, and not one to be replaced
            SELECT FROM keys AS k LEFT JOIN jobs AS j ON j.id = k.job
            WHERE k.key = wanted AND k.job = holder
              AND CASE WHEN j.id IS NULL THEN k.until IS NOT NULL
                       ELSE j.state NOT IN ('scheduled', 'queued') OR j.name <> called END
        ) THEN
            RETURN;
        END IF;
    END LOOP;
END $$;

-- Lock the waiting jobs that a batch may replace, by id like `cancel` and `retry`, so that none waits for another.
CREATE OR REPLACE FUNCTION lock_replaceable(batch jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM (
        SELECT DISTINCT h.job, h.called FROM (
            SELECT (SELECT k.job FROM keys AS k WHERE k.key = j ->> 7) AS job, j ->> 0 AS id, j ->> 2 AS called
            FROM jsonb_array_elements(batch) AS e (j) WHERE (j ->> 14)::boolean OFFSET 0
        ) AS h WHERE h.job <> h.id ORDER BY h.job
    ) AS k CROSS JOIN LATERAL (
        SELECT FROM jobs AS j
        WHERE j.id = k.job AND j.name = k.called AND j.state IN ('scheduled', 'queued') FOR UPDATE) AS j;
END $$;

-- Add jobs, in order; gives those that are not added because another holds their key, each with the holder, and whether
-- that one was waiting and has what this one brought; and children that nobody is held for, each with its own id.
-- A job: id, queue, name, tenant, priority, run_at, args, key, mode, until, failures, crashes, created_at, parent,
-- replaces, debounce_for, children, on_child_failure, group.
-- Waits for a transaction that is taking the same key, for so many milliseconds; the caller's own setting comes back.
CREATE OR REPLACE FUNCTION add(batch jsonb, now bigint, expected uuid, patience integer, channel text)
RETURNS TABLE (job text, holder text, replaced boolean) LANGUAGE plpgsql AS $$
DECLARE
    one record;
    winner text; -- of the key before, if it is of this batch: it is not in the table yet
    won_name text;
    won_key text;
    won_until bigint;
    refused text[] := '{}';
    outdated text[] := '{}'; -- the jobs that wait for what is at these places
    places bigint[] := '{}';
    held text[];
    children text[];
    before text := current_setting('lock_timeout');
BEGIN
    IF expected <> (SELECT id FROM about) THEN
        RAISE EXCEPTION 'another database' USING ERRCODE = 'LAMP1';
    END IF;
    IF jsonb_path_exists(batch, '$[*][7] ? (@ != null)') THEN
        PERFORM set_config('lock_timeout', patience::text, true);
        IF jsonb_path_exists(batch, '$[*][14] ? (@ == true)') THEN
            PERFORM lock_replaceable(batch);
        END IF;
        FOR one IN -- by key, so that two batches never wait for each other; of one key the first of the batch counts
            SELECT j ->> 0 AS id, j ->> 2 AS name, j ->> 7 AS key, (j ->> 9)::bigint AS until, j ->> 13 AS parent,
                   (j ->> 14)::boolean AS replaces, place
            FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (j, place)
            WHERE j ->> 7 IS NOT NULL
              AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = j ->> 0)
              AND NOT EXISTS (SELECT FROM ended WHERE ended.id = j ->> 0)
            ORDER BY (j ->> 7) COLLATE "C", place
        LOOP
            IF one.key = won_key AND one.parent IS DISTINCT FROM winner AND (won_until <= now) IS NOT TRUE THEN
                holder := winner;
                replaced := one.replaces AND one.name = won_name;
            ELSIF one.replaces THEN
                SELECT t.holder, t.waits INTO holder, replaced
                FROM take_key_or_holder(one.id, one.name, one.key, one.until, now, one.parent) AS t;
            ELSE
                replaced := false;
                holder := take_key(one.id, one.key, one.until, now, one.parent);
            END IF;
            IF holder = one.id THEN
                winner := one.id;
                won_name := one.name;
                won_key := one.key;
                won_until := one.until;
            ELSE
                job := one.id;
                refused := refused || one.id;
                IF replaced THEN
                    outdated := outdated || holder;
                    places := places || one.place;
                END IF;
                RETURN NEXT;
            END IF;
        END LOOP;
        PERFORM set_config('lock_timeout', before, true);
    END IF;
    WITH new AS (
        INSERT INTO jobs (id, queue, name, tenant, priority, run_at, args, unique_key, unique_mode, unique_until,
                          failures, crashes, created_at, child_of, state)
        SELECT j ->> 0, j ->> 1, j ->> 2, j ->> 3, (j ->> 4)::integer, (j ->> 5)::bigint, j ->> 6, j ->> 7, j ->> 8,
               (j ->> 9)::bigint, (j ->> 10)::integer, (j ->> 11)::integer, coalesce((j ->> 12)::bigint, now), j ->> 18,
               CASE WHEN j ->> 16 IS NOT NULL THEN 'held' WHEN (j ->> 5)::bigint <= now THEN 'queued' ELSE 'scheduled' END
        FROM jsonb_array_elements(batch) AS e (j)
        WHERE j ->> 0 <> ALL (refused) AND NOT EXISTS (SELECT FROM ended WHERE ended.id = j ->> 0)
        ON CONFLICT (id) DO NOTHING
        RETURNING jobs.id, jobs.child_of, jobs.state
    )
    SELECT array_agg(n.id) FILTER (WHERE n.state = 'held'), array_agg(n.id) FILTER (WHERE n.child_of IS NOT NULL)
    INTO held, children FROM new AS n;
    IF held IS NOT NULL THEN
        INSERT INTO groups (id, total, on_failure)
        SELECT DISTINCT ON (j ->> 0) j ->> 0, (j ->> 16)::integer, j ->> 17
        FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (j, place)
        WHERE j ->> 0 = ANY (held) ORDER BY j ->> 0, place;
    END IF;
    IF children IS NOT NULL THEN
        RETURN QUERY SELECT o.id, o.id, false FROM unnest(adopt(children)) AS o (id);
    END IF;
    IF places <> '{}' THEN
        PERFORM replace_waiting(outdated, places, batch, now);
    END IF;
    IF channel IS NOT NULL THEN
        PERFORM pg_notify(channel, '');
    END IF;
END $$;

-- Do all these moves of different jobs, whose rows the caller has locked.
CREATE OR REPLACE FUNCTION apply(moves move[], now bigint) RETURNS void LANGUAGE plpgsql AS $$
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
                       child_of)
    SELECT g.id, g.queue, g.name, g.tenant, g.target, g.priority, g.run_at, g.created_at, g.args, g.fence,
           g.failures + g.failed, g.crashes + g.crashed, g.unique_key, g.unique_mode, g.unique_until, g.worker,
           g.started_at, now, g.keep_until, g.result, g.reason, g.child_of
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

-- When the earliest scheduled job comes due, or the earliest lease runs out; long ago, if a held job is to be let go.
CREATE OR REPLACE FUNCTION next_moment() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM groups WHERE settled) THEN
        RETURN 0;
    END IF;
    RETURN least((SELECT min(run_at) FROM jobs WHERE state = 'scheduled'),
                 (SELECT min(lease_until) FROM jobs WHERE state = 'running'));
END $$;

DROP FUNCTION sweep(integer, bigint);

-- Queue up to `most` scheduled jobs that are due, and up to `most` whose lease ran out (as a crash); first settle up to
-- `most` that are held.
CREATE FUNCTION sweep(most integer, now bigint, OUT due integer, OUT rescued text[], OUT next_at bigint, OUT failed text[])
LANGUAGE plpgsql AS $$
DECLARE
    moves move[];
    came integer;
    passed integer; -- held jobs that could go on, but are in the hands of others
    settled integer;
    busy boolean; -- another sweep is at the groups: it may have looked too early for what is there by now
BEGIN
    due := 0;
    rescued := '{}';
    failed := '{}';
    PERFORM fold_counts(500);
    busy := (EXISTS (SELECT FROM group_changes) OR EXISTS (SELECT FROM groups AS g WHERE g.settled)) AND NOT alone('groups');
    PERFORM fold_groups();
    next_at := next_moment();
    IF (next_at <= now OR busy) IS NOT TRUE THEN
        RETURN;
    END IF;
    SELECT s.due, s.failed, s.passed INTO due, failed, passed FROM settle(most, now) AS s;
    UPDATE jobs SET state = 'queued' WHERE id = ANY (ARRAY(
        SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= now ORDER BY run_at, id LIMIT most
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS came = ROW_COUNT;
    due := due + came;
    SELECT array_agg(ROW(
        a.place, a.id, a.fence, CASE WHEN a.stopping THEN 'cancelled' ELSE 'queued' END, 0, 1, NULL, NULL, NULL,
        CASE WHEN a.stopping THEN 'asked to stop' END,
        jsonb_build_array(now, 'crash', 'WorkerLost', format('worker %s stopped renewing its lease.', a.worker), ''),
        a.unique_key, a.unique_mode)::move ORDER BY a.place)
    INTO moves FROM (
        SELECT row_number() OVER () AS place, j.* FROM (
            SELECT * FROM jobs WHERE state = 'running' AND lease_until <= now ORDER BY lease_until, id LIMIT most
            FOR UPDATE SKIP LOCKED
        ) AS j
    ) AS a;
    IF moves IS NOT NULL THEN
        PERFORM apply(moves, now);
        rescued := ARRAY(SELECT m.id FROM unnest(moves) AS m ORDER BY m.place);
    END IF;
    PERFORM fold_groups();
    next_at := next_moment();
    IF next_at <= now THEN -- either there is more, or it is in the hands of a transaction, which may be a long one
        settled := (SELECT count(*) FROM (SELECT FROM groups AS g WHERE g.settled LIMIT passed + 1) AS g);
        next_at := now + CASE WHEN came = most OR cardinality(rescued) = most OR settled > passed THEN 0 ELSE 1000000 END;
    END IF;
    IF busy THEN
        next_at := now;
    END IF;
END $$;

-- Of these jobs, end at once those that wait and ask those that run to stop, if they are in one of these states.
CREATE OR REPLACE FUNCTION cancel(ids text[], states text[], keep bigint, now bigint, OUT stopped text[], OUT asked text[])
LANGUAGE plpgsql AS $$
DECLARE
    moves move[];
    was_held text[];
BEGIN
    PERFORM FROM (SELECT w.id FROM unnest(ids) AS w (id) ORDER BY w.id COLLATE "C") AS w CROSS JOIN LATERAL (
        SELECT FROM jobs AS j WHERE j.id = w.id FOR UPDATE) AS j;
    asked := ARRAY(
        SELECT j.id FROM unnest(ids) WITH ORDINALITY AS w (id, place) JOIN jobs AS j ON j.id = w.id
        WHERE j.state = 'running' AND j.state = ANY (states) ORDER BY w.place);
    UPDATE jobs SET stopping = true WHERE id = ANY (asked);
    SELECT array_agg(ROW(
        w.place, j.id, j.fence, 'cancelled', 0, 0, NULL, keep, NULL, 'cancelled', NULL, j.unique_key, NULL)::move
        ORDER BY w.place)
    INTO moves FROM unnest(ids) WITH ORDINALITY AS w (id, place) JOIN jobs AS j ON j.id = w.id
    WHERE j.state <> 'running' AND j.state = ANY (states);
    stopped := ARRAY(SELECT m.id FROM unnest(moves) AS m ORDER BY m.place);
    IF moves IS NOT NULL THEN
        was_held := ARRAY(SELECT j.id FROM jobs AS j WHERE j.id = ANY (stopped) AND j.state = 'held');
        IF was_held <> '{}' THEN
            PERFORM lock_groups(was_held);
            UPDATE groups AS g SET held = false WHERE g.id = ANY (was_held);
        END IF;
        PERFORM apply(moves, now);
    END IF;
END $$;

-- Queue now those of these jobs that have ended or are scheduled, with a clean slate; gives their ids, in order.
-- Ended ones that have children are held again.
CREATE OR REPLACE FUNCTION retry(ids text[], states text[], now bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    one record;
    early text[];
    revived text[];
    again_held text[];
BEGIN
    WITH scheduled AS (
        SELECT j.id FROM (SELECT w.id FROM unnest(ids) AS w (id) ORDER BY w.id COLLATE "C") AS w CROSS JOIN LATERAL (
            SELECT j.id FROM jobs AS j
            WHERE j.id = w.id AND j.state = 'scheduled' AND j.state = ANY (states) FOR UPDATE) AS j
    ), queued AS (
        UPDATE jobs SET state = 'queued', run_at = now, failures = 0, crashes = 0
        FROM scheduled WHERE jobs.id = scheduled.id RETURNING jobs.id
    )
    SELECT array_agg(id) INTO early FROM queued;
    WITH back AS (
        DELETE FROM ended WHERE id = ANY (ids) AND state = ANY (states) RETURNING *
    ), counted AS (
        INSERT INTO group_changes (child_of, done, failed, cancelled)
        SELECT child_of, -count(*) FILTER (WHERE state = 'done'), -count(*) FILTER (WHERE state = 'failed'),
               -count(*) FILTER (WHERE state = 'cancelled')
        FROM back WHERE child_of IS NOT NULL GROUP BY child_of
    ), again AS (
        INSERT INTO jobs (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, unique_key,
                          unique_mode, unique_until, child_of)
        SELECT id, queue, name, tenant,
               CASE WHEN EXISTS (SELECT FROM groups AS g WHERE g.id = back.id) THEN 'held' ELSE 'queued' END, priority, now,
               created_at, args, fence, unique_key, unique_mode, unique_until, child_of
        FROM back RETURNING id, state
    )
    SELECT array_agg(id), array_agg(id) FILTER (WHERE state = 'held') INTO revived, again_held FROM again;
    IF again_held IS NOT NULL THEN
        PERFORM lock_groups(again_held);
        UPDATE groups SET held = true WHERE id = ANY (again_held);
    END IF;
    FOR one IN
        SELECT j.id, j.unique_key FROM unnest(ids) WITH ORDINALITY AS w (id, place) JOIN jobs AS j ON j.id = w.id
        WHERE j.id = ANY (revived) AND j.unique_mode IN ('pending', 'active') ORDER BY j.unique_key, w.place
    LOOP
        PERFORM take_key_again(one.id, one.unique_key, now);
    END LOOP;
    RETURN ARRAY(
        SELECT w.id FROM unnest(ids) WITH ORDINALITY AS w (id, place)
        WHERE w.id = ANY (early) OR w.id = ANY (revived) ORDER BY w.place);
END $$;

-- Forget up to `most` ended jobs that were kept long enough or are too many, and what else is over; gives how many jobs.
-- Children of a job that lives are spared. One at a time, for two that count what is too many would both take it away.
CREATE OR REPLACE FUNCTION prune(keep_done bigint, keep_failed bigint, most integer, now bigint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    one record;
    doomed text[];
BEGIN
    IF NOT alone('ended') THEN
        RETURN 0;
    END IF;
    doomed := ARRAY(
        SELECT e.id FROM ended AS e
        WHERE e.keep_until <= now AND (e.child_of IS NULL OR NOT EXISTS (SELECT FROM jobs AS j WHERE j.id = e.child_of))
        ORDER BY e.keep_until, e.id LIMIT most);
    FOR one IN
        SELECT queue, state, n - CASE state WHEN 'done' THEN keep_done ELSE keep_failed END AS excess FROM totals
        WHERE state IN ('done', 'failed', 'cancelled') AND n > CASE state WHEN 'done' THEN keep_done ELSE keep_failed END
        ORDER BY queue, state
    LOOP
        EXIT WHEN cardinality(doomed) >= most;
        -- some of these may have expired too: only what is found on top of those counts towards the limit
        doomed := doomed || ARRAY(
            SELECT o.id FROM (
                SELECT id, child_of FROM ended WHERE queue = one.queue AND state = one.state ORDER BY id USING ~<~
                LIMIT one.excess
            ) AS o
            WHERE o.id <> ALL (doomed)
              AND (o.child_of IS NULL OR NOT EXISTS (SELECT FROM jobs AS j WHERE j.id = o.child_of))
            LIMIT most);
    END LOOP;
    doomed := doomed[:most];
    DELETE FROM ended WHERE id = ANY (doomed);
    DELETE FROM failures WHERE job = ANY (doomed);
    PERFORM lock_groups(doomed);
    DELETE FROM groups WHERE id = ANY (doomed);
    PERFORM fold_counts(1);
    DELETE FROM counts WHERE n = 0;
    DELETE FROM keys WHERE key = ANY (ARRAY( -- but for those that a transaction is taking over
        SELECT key FROM keys WHERE until <= now ORDER BY until FOR UPDATE SKIP LOCKED));
    DELETE FROM records WHERE expires_at <= now;
    RETURN cardinality(doomed);
END $$;

-- Every function finds its tables whatever the caller's search_path is, and goes by its indexes whatever the planner
-- believes of tables that grow and shrink within seconds.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = current_schema()::regnamespace LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SET search_path = %I, pg_temp SET enable_seqscan = off SET enable_hashjoin = off '
            'SET enable_mergejoin = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off',
            one.name, current_schema());
    END LOOP;
END $$;
