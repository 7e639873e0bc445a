-- The first schema. It is made inside a PostgreSQL schema of ours, so that no name meets one of the application's.
-- Times are microseconds since 1970, UTC. Live jobs stand apart from ended ones, so that neither a long past slows a
-- claim nor vacuum has to walk it. Each operation of the store is one function: one round trip, whichever driver the
-- caller's transaction has, and through a pooler that remembers no prepared statements.

-- Which database this is: a caller's transaction may be open on another one that holds such a schema too.
CREATE TABLE about (id uuid NOT NULL DEFAULT gen_random_uuid());
INSERT INTO about DEFAULT VALUES;

CREATE TABLE jobs (
    id           text COLLATE "C" PRIMARY KEY,
    queue        text COLLATE "C" NOT NULL,
    name         text NOT NULL,
    tenant       text,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('scheduled', 'queued', 'running')),
    priority     integer NOT NULL,
    run_at       bigint NOT NULL,
    created_at   bigint NOT NULL,
    args         text NOT NULL,
    fence        bigint NOT NULL DEFAULT 0,
    failures     integer NOT NULL DEFAULT 0,
    crashes      integer NOT NULL DEFAULT 0,
    unique_key   text COLLATE "C",
    unique_mode  text,
    unique_until bigint,
    worker       text,
    started_at   bigint,
    lease_until  bigint,
    stopping     boolean NOT NULL DEFAULT false,
    progress     text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX jobs_by_queue ON jobs (queue, state, id text_pattern_ops); -- an order of its own: see `Queries.page`
CREATE INDEX jobs_queued ON jobs (queue, priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX jobs_scheduled ON jobs (run_at, id) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON jobs (lease_until, id) WHERE state = 'running';

CREATE TABLE ended (
    id           text COLLATE "C" PRIMARY KEY,
    queue        text COLLATE "C" NOT NULL,
    name         text NOT NULL,
    tenant       text,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('done', 'failed', 'cancelled')),
    priority     integer NOT NULL,
    run_at       bigint NOT NULL,
    created_at   bigint NOT NULL,
    args         text NOT NULL,
    fence        bigint NOT NULL,
    failures     integer NOT NULL,
    crashes      integer NOT NULL,
    unique_key   text COLLATE "C",
    unique_mode  text,
    unique_until bigint,
    worker       text,
    started_at   bigint,
    ended_at     bigint NOT NULL,
    keep_until   bigint,
    result       text,
    reason       text
);

CREATE INDEX ended_by_queue ON ended (queue, state, id text_pattern_ops);
CREATE INDEX ended_expiry ON ended (keep_until, id) WHERE keep_until IS NOT NULL;

CREATE TABLE failures (
    job       text COLLATE "C" NOT NULL,
    fence     bigint NOT NULL,
    at        bigint NOT NULL,
    kind      text NOT NULL,
    error     text NOT NULL,
    message   text NOT NULL,
    traceback text NOT NULL,
    PRIMARY KEY (job, fence)
);

-- Who holds which unique key. `until` is set for keys that outlive their job.
CREATE TABLE keys (
    key   text COLLATE "C" PRIMARY KEY,
    job   text COLLATE "C" NOT NULL,
    until bigint
);

CREATE INDEX keys_expiry ON keys (until) WHERE until IS NOT NULL;

CREATE TABLE paused (queue text COLLATE "C" PRIMARY KEY);

CREATE TABLE records (
    kind       text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    value      text NOT NULL,
    expires_at bigint,
    PRIMARY KEY (kind, name)
);

CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

-- How many jobs of each queue are in each state: `counts` and what has come on top of it. Only appended to, because one
-- row that everybody updates would make every writer wait for the transactions of all others.
CREATE TABLE counts (
    queue text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    n     bigint NOT NULL,
    PRIMARY KEY (queue, state)
);

CREATE TABLE count_changes (
    queue text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    n     bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- The triggers keep the counts, so no statement can forget to.
CREATE FUNCTION count_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_changes SELECT queue, state, count(*) FROM added GROUP BY queue, state;
    RETURN NULL;
END $$;

CREATE FUNCTION count_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_changes SELECT queue, state, -count(*) FROM gone GROUP BY queue, state;
    RETURN NULL;
END $$;

CREATE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_changes
    SELECT queue, state, sum(n) FROM (SELECT queue, state, 1 AS n FROM added UNION ALL SELECT queue, state, -1 FROM gone) AS moved
    GROUP BY queue, state HAVING sum(n) <> 0;
    RETURN NULL;
END $$;

CREATE TRIGGER jobs_added AFTER INSERT ON jobs REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added();
CREATE TRIGGER jobs_gone AFTER DELETE ON jobs REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION count_gone();
CREATE TRIGGER jobs_moved AFTER UPDATE ON jobs REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_moved();
CREATE TRIGGER ended_added AFTER INSERT ON ended REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added();
CREATE TRIGGER ended_gone AFTER DELETE ON ended REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION count_gone();

CREATE VIEW totals AS
SELECT queue, state, sum(n)::bigint AS n
FROM (SELECT queue, state, n FROM counts UNION ALL SELECT queue, state, n FROM count_changes) AS counted
GROUP BY queue, state;

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

-- Add jobs, in order; gives those that are not added because another holds their key, each with the holder.
-- A job: id, queue, name, tenant, priority, run_at, args, key, mode, until, failures, crashes, created_at, parent.
-- Waits for a transaction that is taking the same key, for so many milliseconds; the caller's own setting comes back.
CREATE FUNCTION add(batch jsonb, now bigint, expected uuid, patience integer, channel text)
RETURNS TABLE (job text, holder text) LANGUAGE plpgsql AS $$
DECLARE
    one record;
    winner text; -- of the key before, if it is of this batch: it is not in the table yet
    won_key text;
    won_until bigint;
    refused text[] := '{}';
    before text := current_setting('lock_timeout');
BEGIN
    IF expected <> (SELECT id FROM about) THEN
        RAISE EXCEPTION 'another database' USING ERRCODE = 'LAMP1';
    END IF;
    IF jsonb_path_exists(batch, '$[*][7] ? (@ != null)') THEN
        PERFORM set_config('lock_timeout', patience::text, true);
        FOR one IN -- by key, so that two batches never wait for each other; of one key the first of the batch counts
            SELECT j ->> 0 AS id, j ->> 7 AS key, (j ->> 9)::bigint AS until, j ->> 13 AS parent
            FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (j, place)
            WHERE j ->> 7 IS NOT NULL
              AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = j ->> 0)
              AND NOT EXISTS (SELECT FROM ended WHERE ended.id = j ->> 0)
            ORDER BY (j ->> 7) COLLATE "C", place
        LOOP
            IF one.key = won_key AND one.parent IS DISTINCT FROM winner AND (won_until <= now) IS NOT TRUE THEN
                holder := winner;
            ELSE
                holder := take_key(one.id, one.key, one.until, now, one.parent);
            END IF;
            IF holder = one.id THEN
                winner := one.id;
                won_key := one.key;
                won_until := one.until;
            ELSE
                job := one.id;
                refused := refused || one.id;
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
    mode       text
);

-- Do all these moves of different jobs, whose rows the caller has locked.
CREATE FUNCTION apply(moves move[], now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
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
    )
    INSERT INTO ended (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, failures, crashes,
                       unique_key, unique_mode, unique_until, worker, started_at, ended_at, keep_until, result, reason)
    SELECT g.id, g.queue, g.name, g.tenant, g.target, g.priority, g.run_at, g.created_at, g.args, g.fence,
           g.failures + g.failed, g.crashes + g.crashed, g.unique_key, g.unique_mode, g.unique_until, g.worker,
           g.started_at, now, g.keep_until, g.result, g.reason
    FROM gone AS g WHERE (g.keep_until <= now) IS NOT TRUE;
    IF EXISTS (SELECT FROM unnest(moves) AS m WHERE m.keep_until <= now AND m.target NOT IN ('scheduled', 'queued')) THEN
        DELETE FROM failures AS f USING unnest(moves) AS m
        WHERE f.job = m.id AND m.keep_until <= now AND m.target NOT IN ('scheduled', 'queued');
    END IF;
    IF EXISTS (SELECT FROM unnest(moves) AS m WHERE m.target IN ('scheduled', 'queued')) THEN
        UPDATE jobs AS j
        SET state = m.target, run_at = coalesce(m.run_at, j.run_at), failures = j.failures + m.failed,
            crashes = j.crashes + m.crashed, worker = NULL, started_at = NULL, lease_until = NULL, progress = NULL
        FROM unnest(moves) AS m WHERE j.id = m.id AND m.target IN ('scheduled', 'queued');
    END IF;
END $$;

-- Record how attempts ended; gives the ids that won, in order.
-- An outcome: id, fence, target, failed, run_at, keep_until, result, reason, failure.
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
        nullif(o.o -> 8, 'null'), j.unique_key, j.unique_mode)::move ORDER BY o.place)
    INTO moves FROM (
        SELECT DISTINCT ON ((o ->> 0) COLLATE "C", (o ->> 1)::bigint) -- of two outcomes of one attempt the first wins
               o, place, o ->> 0 AS id, (o ->> 1)::bigint AS fence, o ->> 2 IN ('scheduled', 'queued') AS comes_back
        FROM jsonb_array_elements(outcomes) WITH ORDINALITY AS e (o, place)
        ORDER BY (o ->> 0) COLLATE "C", (o ->> 1)::bigint, place
    ) AS o CROSS JOIN LATERAL (
        SELECT j.id, j.fence, j.stopping, j.unique_key, j.unique_mode FROM jobs AS j
        WHERE j.id = o.id AND j.fence = o.fence AND j.state = 'running' FOR UPDATE
    ) AS j;
    IF moves IS NULL THEN
        RETURN '{}';
    END IF;
    PERFORM apply(moves, now);
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
    UPDATE jobs SET lease_until = until, progress = coalesce(m ->> 3, jobs.progress)
    FROM jsonb_array_elements(mine) AS e (m) WHERE jobs.id = m ->> 0;
    RETURN QUERY SELECT m ->> 0, (m ->> 1)::bigint, (m ->> 2)::boolean FROM jsonb_array_elements(mine) AS e (m);
END $$;

-- When the earliest scheduled job comes due, or the earliest lease runs out.
CREATE FUNCTION next_moment() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN least((SELECT min(run_at) FROM jobs WHERE state = 'scheduled'),
                 (SELECT min(lease_until) FROM jobs WHERE state = 'running'));
END $$;

-- Queue up to `most` scheduled jobs that are due, and up to `most` whose lease ran out (as a crash).
CREATE FUNCTION sweep(most integer, now bigint, OUT due integer, OUT rescued text[], OUT next_at bigint)
LANGUAGE plpgsql AS $$
DECLARE
    moves move[];
BEGIN
    due := 0;
    rescued := '{}';
    PERFORM fold_counts(500);
    next_at := next_moment();
    IF (next_at <= now) IS NOT TRUE THEN
        RETURN;
    END IF;
    UPDATE jobs SET state = 'queued' WHERE id = ANY (ARRAY(
        SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= now ORDER BY run_at, id LIMIT most
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS due = ROW_COUNT;
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
    next_at := next_moment();
    IF next_at < now THEN
        next_at := now;
    END IF;
END $$;

-- Of these jobs, end at once those that wait and ask those that run to stop, if they are in one of these states.
CREATE FUNCTION cancel(ids text[], states text[], keep bigint, now bigint, OUT stopped text[], OUT asked text[])
LANGUAGE plpgsql AS $$
DECLARE
    moves move[];
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
        PERFORM apply(moves, now);
    END IF;
END $$;

-- Queue now those of these jobs that have ended or are scheduled, with a clean slate; gives their ids, in order.
CREATE FUNCTION retry(ids text[], states text[], now bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    one record;
    early text[];
    revived text[];
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
    ), again AS (
        INSERT INTO jobs (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, unique_key,
                          unique_mode, unique_until)
        SELECT id, queue, name, tenant, 'queued', priority, now, created_at, args, fence, unique_key, unique_mode,
               unique_until
        FROM back RETURNING id
    )
    SELECT array_agg(id) INTO revived FROM again;
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
-- One at a time, for two that count what is too many would both take it away.
CREATE FUNCTION prune(keep_done bigint, keep_failed bigint, most integer, now bigint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    one record;
    doomed text[];
BEGIN
    IF NOT alone('ended') THEN
        RETURN 0;
    END IF;
    doomed := ARRAY(SELECT id FROM ended WHERE keep_until <= now ORDER BY keep_until, id LIMIT most);
    FOR one IN
        SELECT queue, state, n - CASE state WHEN 'done' THEN keep_done ELSE keep_failed END AS excess FROM totals
        WHERE state IN ('done', 'failed', 'cancelled') AND n > CASE state WHEN 'done' THEN keep_done ELSE keep_failed END
        ORDER BY queue, state
    LOOP
        EXIT WHEN cardinality(doomed) >= most;
        -- some of these may have expired too: only what is found on top of those counts towards the limit
        doomed := doomed || ARRAY(
            SELECT o.id FROM (
                SELECT id FROM ended WHERE queue = one.queue AND state = one.state ORDER BY id USING ~<~
                LIMIT least(one.excess, most)
            ) AS o WHERE o.id <> ALL (doomed));
    END LOOP;
    doomed := doomed[:most];
    DELETE FROM ended WHERE id = ANY (doomed);
    DELETE FROM failures WHERE job = ANY (doomed);
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
