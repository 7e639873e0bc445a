-- Each operation of the store is one function: one round trip, whichever driver the caller's transaction has, and
-- through a pooler that remembers no prepared statements.

-- Whether this transaction is the only one that does what is done to this table by one at a time.
CREATE FUNCTION alone(at text) RETURNS boolean LANGUAGE sql AS $$
    SELECT pg_try_advisory_xact_lock((1818324332::bigint << 32) + at::regclass::oid::bigint);
$$;

-- Put together what was counted, once it is worth it. One at a time: who comes second has nothing to do.
CREATE FUNCTION fold_counts(worth_it integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    empty tid[];
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM count_changes LIMIT worth_it) AS changes) < worth_it
        OR NOT alone('counts') THEN
        RETURN;
    END IF;
    WITH changes AS (
        DELETE FROM count_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM count_changes LIMIT 10000)) RETURNING *
    ), in_all AS (
        INSERT INTO counts SELECT queue, state, sum(n) FROM changes GROUP BY queue, state HAVING sum(n) <> 0
        ON CONFLICT (queue, state) DO UPDATE SET n = counts.n + excluded.n
    ), of_those_that_wait AS (
        INSERT INTO waiting (queue, tenant, priority, state, gate, n)
        SELECT queue, tenant, priority, state, coalesce(gate, ''), sum(n) FROM changes WHERE tenant IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0
        ON CONFLICT (queue, tenant, priority, state, gate) DO UPDATE SET n = waiting.n + excluded.n
        RETURNING ctid AS row, n
    )
    SELECT array_agg(w.row) INTO empty FROM of_those_that_wait AS w WHERE w.n = 0;
    DELETE FROM waiting WHERE ctid = ANY (empty) AND n = 0; -- or there would be a row of each gate there ever was
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

-- The same for a job that replaces what waits under its key: such a holder is locked, if it has that name. (One that is
-- held for its children is none.) One that starts meanwhile may let go of the key, and then the job is new after all: what
-- it brings must not be lost.
CREATE FUNCTION take_key_or_holder(taker text, called text, wanted text, held_until bigint, now bigint, parent text,
                                   OUT holder text, OUT waits boolean) LANGUAGE plpgsql AS $$
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
CREATE FUNCTION lock_replaceable(batch jsonb) RETURNS void LANGUAGE plpgsql AS $$
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

-- Give waiting jobs what the batch brought for them, at these places: of several for one job, the last. They leave the line
-- or gate where they stood, of which the owner is told.
CREATE FUNCTION replace_waiting(ids text[], places bigint[], batch jsonb, now bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH as_they_were AS MATERIALIZED ( -- by their ids, and not by an index of who stands where
        SELECT j.queue, j.priority, coalesce(j.tenant, '') AS tenant, j.state, j.waits_on FROM jobs AS j
        WHERE j.id = ANY (ids)
    ), before_gates AS (
        INSERT INTO gate_changes (key, verb, queue)
        SELECT DISTINCT waits_on, 'left', queue FROM as_they_were WHERE waits_on IS NOT NULL
    )
    INSERT INTO line_changes (queue, priority, tenant)
    SELECT DISTINCT queue, priority, tenant FROM as_they_were WHERE state = 'queued' AND waits_on IS NULL;
    UPDATE jobs
    SET args = b.j ->> 6, priority = (b.j ->> 4)::integer, run_at = least(b.run_at, jobs.created_at + b.longest),
        waits_on = NULL, let_go = NULL, place = NULL,
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
-- that one was waiting and has what this one brought; and children that nobody is held for, each with its own id. Where the
-- batch does not fit into a queue, nothing is added, and all that is given is which bound it would break: queue, tenant and
-- how many.
-- A job: id, queue, name, tenant, priority, run_at, args, key, mode, until, failures, crashes, created_at, parent,
-- replaces, debounce_for, limits, children, on_child_failure, group.
-- Waits for a transaction that is taking the same key, for so many milliseconds; the caller's own setting comes back.
CREATE FUNCTION add(batch jsonb, now bigint, expected uuid, patience integer, channel text)
RETURNS TABLE (job text, holder text, replaced boolean, no_room jsonb) LANGUAGE plpgsql AS $$
DECLARE
    one record;
    winner text; -- of the key before, if it is of this batch: it is not in the table yet
    won_name text;
    won_key text;
    won_until bigint;
    refused text[] := '{}';
    outdated text[] := '{}'; -- the jobs that wait for what is at these places
    places bigint[] := '{}';
    bounds jsonb; -- on how many jobs may wait where these come to
    orphans text[];
    came text[];
    held text[];
    children text[];
    before text := current_setting('lock_timeout');
BEGIN
    IF expected <> (SELECT id FROM about) THEN
        RAISE EXCEPTION 'another database' USING ERRCODE = 'LAMP1';
    END IF;
    IF EXISTS (SELECT FROM records WHERE kind = 'queue' AND rule ?| '{most,most_per_tenant}') THEN
        bounds := bounds_on(batch);
        no_room := first_broken(bounds);
        IF no_room IS NOT NULL THEN
            RETURN NEXT;
            RETURN;
        END IF;
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
    IF jsonb_path_exists(batch, '$[*][19] ? (@ != null)') THEN
        orphans := orphans_in(batch, refused);
        refused := refused || orphans;
        RETURN QUERY SELECT o.id, o.id, false, NULL::jsonb FROM unnest(orphans) AS o (id);
    END IF;
    WITH new AS (
        INSERT INTO jobs (id, queue, name, tenant, priority, run_at, args, unique_key, unique_mode, unique_until,
                          failures, crashes, created_at, limits, child_of, state)
        SELECT j ->> 0, j ->> 1, j ->> 2, j ->> 3, (j ->> 4)::integer, (j ->> 5)::bigint, j ->> 6, j ->> 7, j ->> 8,
               (j ->> 9)::bigint, (j ->> 10)::integer, (j ->> 11)::integer, coalesce((j ->> 12)::bigint, now),
               CASE WHEN j ->> 16 IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(j -> 16)) END, j ->> 19,
               CASE WHEN j ->> 17 IS NOT NULL THEN 'held' WHEN (j ->> 5)::bigint <= now THEN 'queued' ELSE 'scheduled' END
        FROM jsonb_array_elements(batch) AS e (j)
        WHERE j ->> 0 <> ALL (refused) AND NOT EXISTS (SELECT FROM ended WHERE ended.id = j ->> 0)
        ON CONFLICT (id) DO NOTHING
        RETURNING jobs.id, jobs.child_of, jobs.state
    )
    SELECT array_agg(n.id), array_agg(n.id) FILTER (WHERE n.state = 'held'),
           array_agg(n.id) FILTER (WHERE n.child_of IS NOT NULL)
    INTO came, held, children FROM new AS n;
    -- One that was live when we began, and ended before we came to it, was in neither table at its moment.
    DELETE FROM jobs AS j WHERE j.id = ANY (came) AND EXISTS (SELECT FROM ended AS e WHERE e.id = j.id);
    IF FOUND THEN
        held := nullif(ARRAY(SELECT j.id FROM jobs AS j WHERE j.id = ANY (held)), '{}');
        children := nullif(ARRAY(SELECT j.id FROM jobs AS j WHERE j.id = ANY (children)), '{}');
    END IF;
    IF held IS NOT NULL THEN
        INSERT INTO groups (id, total, on_failure)
        SELECT DISTINCT ON (j ->> 0) j ->> 0, (j ->> 17)::integer, j ->> 18
        FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (j, place)
        WHERE j ->> 0 = ANY (held) ORDER BY j ->> 0, place;
    END IF;
    IF children IS NOT NULL THEN
        RETURN QUERY SELECT o.id, o.id, false, NULL::jsonb FROM unnest(adopt(children)) AS o (id);
    END IF;
    IF places <> '{}' THEN
        PERFORM replace_waiting(outdated, places, batch, now);
    END IF;
    IF bounds IS NOT NULL THEN
        PERFORM make_room(bounds, now);
    END IF;
    IF channel IS NOT NULL THEN
        PERFORM pg_notify(channel, '');
    END IF;
END $$;
