-- Each operation of the store is one function: one round trip, whichever driver the caller's transaction has, and
-- through a pooler that remembers no prepared statements.

-- Whether this transaction is the only one that does what is done to this table by one at a time.
CREATE FUNCTION alone(at text) RETURNS boolean LANGUAGE sql AS $$
    SELECT pg_try_advisory_xact_lock((1818324332::bigint << 32) + at::regclass::oid::bigint);
$$;

-- Put together what was counted, once it is worth it. One at a time: who comes second has nothing to do.
CREATE FUNCTION fold_counts(worth_it integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM count_changes LIMIT worth_it) AS changes) < worth_it
        OR NOT alone('counts') THEN
        RETURN;
    END IF;
    WITH changes AS (DELETE FROM count_changes RETURNING queue, state, n)
    INSERT INTO counts SELECT queue, state, sum(n) FROM changes GROUP BY queue, state HAVING sum(n) <> 0
    ON CONFLICT (queue, state) DO UPDATE SET n = counts.n + excluded.n;
END $$;

-- Give a job a key if that is free, over, or its parent's to hand on; returns who holds it then. A holder that is gone
-- holds nothing. It looks before it takes, and takes nothing that another took in between, for either way would lock the
-- row: a duplicate that is added in a long transaction must not keep the holder from going on.
CREATE FUNCTION take_key(taker text, wanted text, held_until bigint, now bigint, parent text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    held record;
BEGIN
    LOOP
        SELECT k.job, k.until, EXISTS (SELECT FROM jobs AS j WHERE j.id = k.job) AS lives INTO held
        FROM keys AS k WHERE k.key = wanted;
        IF NOT FOUND THEN
            INSERT INTO keys (key, job, until) VALUES (wanted, taker, held_until) ON CONFLICT DO NOTHING;
        ELSIF held.job = parent OR held.until <= now OR held.until IS NULL AND NOT held.lives THEN
            UPDATE keys AS k SET job = taker, until = held_until
            WHERE k.key = wanted AND k.job = held.job AND k.until IS NOT DISTINCT FROM held.until;
        ELSE
            RETURN held.job;
        END IF;
        IF FOUND THEN
            RETURN taker;
        END IF; -- another was faster: look who
    END LOOP;
END $$;

-- The same for a job that comes back. It goes without its key if that is taken, and if somebody is taking it: a long
-- transaction must not keep others' outcomes waiting.
CREATE FUNCTION take_key_again(taker text, wanted text, now bigint) RETURNS void LANGUAGE plpgsql
SET lock_timeout = '10ms' AS $$
BEGIN
    PERFORM take_key(taker, wanted, NULL, now, NULL);
EXCEPTION WHEN lock_not_available THEN
    NULL;
END $$;

-- The same for a job that replaces what waits under its key: such a holder is locked, if it has that name. One that starts
-- meanwhile may let go of the key, and then the job is new after all: what it brings must not be lost.
CREATE FUNCTION take_key_or_holder(taker text, called text, wanted text, held_until bigint, now bigint, parent text,
                                   OUT holder text, OUT waits boolean) LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        holder := take_key(taker, wanted, held_until, now, parent);
        waits := false;
        IF holder = taker THEN
            RETURN;
        END IF;
        PERFORM FROM jobs AS j WHERE j.id = holder AND j.name = called AND j.state <> 'running' FOR UPDATE;
        IF FOUND THEN
            waits := EXISTS (SELECT FROM keys AS k WHERE k.key = wanted AND k.job = holder);
        END IF;
        IF waits OR EXISTS ( -- it is still the holder, and not one to be replaced
            SELECT FROM keys AS k LEFT JOIN jobs AS j ON j.id = k.job
            WHERE k.key = wanted AND k.job = holder
              AND CASE WHEN j.id IS NULL THEN k.until IS NOT NULL ELSE j.state = 'running' OR j.name <> called END
        ) THEN
            RETURN;
        END IF;
    END LOOP;
END $$;

-- Lock the waiting jobs that a batch may replace, by id like `cancel` and `retry`, so that none waits for another.
CREATE FUNCTION lock_replaceable(batch jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM (
        SELECT DISTINCT h.job, h.called FROM (
            SELECT (SELECT k.job FROM keys AS k WHERE k.key = j ->> 7) AS job, j ->> 0 AS id, j ->> 2 AS called
            FROM jsonb_array_elements(batch) AS e (j) WHERE (j ->> 14)::boolean OFFSET 0
        ) AS h WHERE h.job <> h.id ORDER BY h.job
    ) AS k CROSS JOIN LATERAL (
        SELECT FROM jobs AS j WHERE j.id = k.job AND j.name = k.called AND j.state <> 'running' FOR UPDATE) AS j;
END $$;

-- Give waiting jobs what the batch brought for them, at these places: of several for one job, the last.
CREATE FUNCTION replace_waiting(ids text[], places bigint[], batch jsonb, now bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs
    SET args = b.j ->> 6, priority = (b.j ->> 4)::integer, run_at = least(b.run_at, jobs.created_at + b.longest),
        state = CASE WHEN least(b.run_at, jobs.created_at + b.longest) <= now THEN 'queued' ELSE 'scheduled' END
    FROM (
        SELECT o.id, o.j, (o.j ->> 5)::bigint AS run_at, (o.j ->> 15)::bigint AS longest FROM (
            SELECT DISTINCT ON (p.id) p.id, batch -> (p.place - 1)::integer AS j
            FROM unnest(ids, places) AS p (id, place) ORDER BY p.id, p.place DESC
        ) AS o
    ) AS b
    WHERE jobs.id = b.id;
END $$;

-- Add jobs, in order; gives those that are not added because another holds their key, each with the holder, and whether
-- that one was waiting and has what this one brought.
-- A job: id, queue, name, tenant, priority, run_at, args, key, mode, until, failures, crashes, created_at, parent,
-- replaces, debounce_for.
-- Waits for a transaction that is taking the same key, for so many milliseconds; the caller's own setting comes back.
CREATE FUNCTION add(batch jsonb, now bigint, expected uuid, patience integer, channel text)
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
    INSERT INTO jobs (id, queue, name, tenant, priority, run_at, args, unique_key, unique_mode, unique_until, failures,
                      crashes, created_at, state)
    SELECT j ->> 0, j ->> 1, j ->> 2, j ->> 3, (j ->> 4)::integer, (j ->> 5)::bigint, j ->> 6, j ->> 7, j ->> 8,
           (j ->> 9)::bigint, (j ->> 10)::integer, (j ->> 11)::integer, coalesce((j ->> 12)::bigint, now),
           CASE WHEN (j ->> 5)::bigint <= now THEN 'queued' ELSE 'scheduled' END
    FROM jsonb_array_elements(batch) AS e (j)
    WHERE j ->> 0 <> ALL (refused) AND NOT EXISTS (SELECT FROM ended WHERE ended.id = j ->> 0)
    ON CONFLICT (id) DO NOTHING;
    IF places <> '{}' THEN
        PERFORM replace_waiting(outdated, places, batch, now);
    END IF;
    IF channel IS NOT NULL THEN
        PERFORM pg_notify(channel, '');
    END IF;
END $$;

-- Start up to so many jobs of each of these queues, the most urgent of each, `most` in all; passes over those that
-- another claim has in its hands.
CREATE FUNCTION start(queues text[], shares bigint[], most integer, claimer text, until bigint, now bigint)
RETURNS SETOF jobs LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH picked AS (
        SELECT p.id FROM unnest(queues, shares) AS s (queue, n) CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.run_at FROM jobs AS j WHERE j.state = 'queued' AND j.queue = s.queue
            ORDER BY j.priority DESC, j.run_at, j.id LIMIT s.n FOR UPDATE SKIP LOCKED
        ) AS p ORDER BY p.priority DESC, p.run_at, p.id LIMIT most
    ), started AS (
        UPDATE jobs SET state = 'running', fence = fence + 1, worker = claimer, started_at = now, lease_until = until,
                        progress = NULL
        FROM picked WHERE jobs.id = picked.id
        RETURNING jobs.*
    ), let_go AS (
        DELETE FROM keys USING started
        WHERE started.unique_mode = 'pending' AND keys.key = (
            SELECT k.key FROM keys AS k WHERE k.key = started.unique_key AND k.job = started.id FOR UPDATE SKIP LOCKED)
    )
    SELECT * FROM started;
END $$;

-- Claim up to `most` queued jobs for a worker, the most urgent of all these queues (none: of every queue).
CREATE FUNCTION claim(wanted text[], most integer, claimer text, until bigint, now bigint)
RETURNS TABLE (id text, fence bigint, name text, queue text, tenant text, args text, priority integer, run_at bigint,
               created_at bigint, failures integer, crashes integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    lines text[];
    filled text[];
    shares bigint[];
    taken integer;
BEGIN
    SELECT array_agg(q.queue) INTO lines FROM (
        WITH RECURSIVE queues AS ( -- from each queue that holds queued jobs straight to the next one
            (SELECT j.queue FROM jobs AS j WHERE j.state = 'queued' ORDER BY j.queue LIMIT 1)
            UNION ALL
            SELECT (SELECT j.queue FROM jobs AS j WHERE j.state = 'queued' AND j.queue > l.queue ORDER BY j.queue LIMIT 1)
            FROM queues AS l WHERE l.queue IS NOT NULL
        )
        SELECT l.queue FROM queues AS l WHERE cardinality(wanted) = 0 AND l.queue IS NOT NULL
        UNION
        SELECT w.queue FROM unnest(wanted) AS w (queue)
    ) AS q WHERE NOT EXISTS (SELECT FROM paused AS p WHERE p.queue = q.queue);
    -- how many of the most urgent of all are in which queue: nothing is locked that is not taken
    SELECT array_agg(m.queue), array_agg(m.n) INTO filled, shares FROM (
        SELECT h.queue, count(*) AS n FROM (
            SELECT j.queue FROM unnest(lines) AS o (queue) CROSS JOIN LATERAL (
                SELECT j.queue, j.priority, j.run_at, j.id FROM jobs AS j WHERE j.state = 'queued' AND j.queue = o.queue
                ORDER BY j.priority DESC, j.run_at, j.id LIMIT most
            ) AS j ORDER BY j.priority DESC, j.run_at, j.id LIMIT most
        ) AS h GROUP BY h.queue
    ) AS m;
    IF filled IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT s.id, s.fence, s.name, s.queue, s.tenant, s.args, s.priority, s.run_at, s.created_at, s.failures, s.crashes
        FROM start(filled, shares, most, claimer, until, now) AS s;
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken < (SELECT sum(n) FROM unnest(shares) AS n) THEN -- others got in the way: take what they left, wherever it is
        RETURN QUERY
            SELECT s.id, s.fence, s.name, s.queue, s.tenant, s.args, s.priority, s.run_at, s.created_at, s.failures,
                   s.crashes
            FROM start(lines, array_fill((most - taken)::bigint, ARRAY[cardinality(lines)]), most - taken, claimer, until,
                       now) AS s;
    END IF;
END $$;
