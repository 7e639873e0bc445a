-- Jobs that are held until their children have ended, and how far those are.

-- A row for each job that has children, as long as that is known, whether it is held or not: `groups` and what has come
-- on top of it, `group_changes`. Only appended to by those who end children, so that they never wait for each other.
CREATE TABLE groups (
    id         text COLLATE "C" PRIMARY KEY,
    total      integer NOT NULL,
    on_failure text NOT NULL,
    held       boolean NOT NULL DEFAULT true,
    added      bigint NOT NULL DEFAULT 0,
    done       bigint NOT NULL DEFAULT 0,
    failed     bigint NOT NULL DEFAULT 0,
    cancelled  bigint NOT NULL DEFAULT 0,
    settled    boolean NOT NULL GENERATED ALWAYS AS ( -- it is held, and need not wait any longer
        held AND (done + failed + cancelled >= total OR on_failure = 'fail' AND failed + cancelled > 0)) STORED
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);

CREATE INDEX groups_settled ON groups (id) WHERE settled;

CREATE TABLE group_changes (
    child_of  text COLLATE "C" NOT NULL,
    added     bigint NOT NULL DEFAULT 0,
    done      bigint NOT NULL DEFAULT 0,
    failed    bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX group_changes_of ON group_changes (child_of);

-- Lock what is counted of these jobs, in one order, so that nobody waits for who waits for him.
CREATE FUNCTION lock_groups(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM (SELECT w.id FROM unnest(ids) AS w (id) ORDER BY w.id COLLATE "C") AS w CROSS JOIN LATERAL (
        SELECT FROM groups AS g WHERE g.id = w.id FOR UPDATE) AS g;
END $$;

-- Put together what was counted of children. One at a time: who comes second has nothing to do.
CREATE FUNCTION fold_groups() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM group_changes) OR NOT alone('groups') THEN
        RETURN;
    END IF;
    PERFORM lock_groups(ARRAY(SELECT DISTINCT child_of FROM group_changes));
    WITH changes AS (DELETE FROM group_changes RETURNING *)
    UPDATE groups AS g
    SET added = g.added + c.added, done = g.done + c.done, failed = g.failed + c.failed,
        cancelled = g.cancelled + c.cancelled
    FROM (
        SELECT child_of, sum(added) AS added, sum(done) AS done, sum(failed) AS failed, sum(cancelled) AS cancelled
        FROM changes GROUP BY child_of
    ) AS c WHERE g.id = c.child_of;
END $$;

-- How many children a job has, and how they ended, as JSON; nothing if it has none.
CREATE FUNCTION children_of(job text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'total', g.total, 'on_failure', g.on_failure, 'added', g.added + c.added, 'done', g.done + c.done,
        'failed', g.failed + c.failed, 'cancelled', g.cancelled + c.cancelled)::text
    FROM groups AS g CROSS JOIN LATERAL (
        SELECT coalesce(sum(added), 0) AS added, coalesce(sum(done), 0) AS done, coalesce(sum(failed), 0) AS failed,
               coalesce(sum(cancelled), 0) AS cancelled
        FROM group_changes WHERE child_of = g.id
    ) AS c WHERE g.id = job;
$$;

-- The new children of a batch that nobody is held for: neither a job that is there, nor one that comes before them here. They
-- must not even be added and taken away again, or the owner of the lines would hear of them.
CREATE FUNCTION orphans_in(batch jsonb, refused text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    one record;
    held_here text[] := '{}';
    orphans text[] := '{}'; -- and so is who hangs below one
BEGIN
    FOR one IN
        SELECT j ->> 0 AS id, j ->> 17 IS NOT NULL AS is_held, j ->> 19 AS child_of,
               j ->> 19 IS NULL OR EXISTS (SELECT FROM jobs AS h WHERE h.id = j ->> 19 AND h.state = 'held') AS fits
        FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (j, place)
        WHERE (j ->> 17 IS NOT NULL OR j ->> 19 IS NOT NULL) AND j ->> 0 <> ALL (refused)
          AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = j ->> 0)
          AND NOT EXISTS (SELECT FROM ended WHERE ended.id = j ->> 0)
        ORDER BY place
    LOOP
        IF NOT one.fits AND one.child_of <> ALL (held_here) THEN
            orphans := orphans || one.id;
        ELSIF one.is_held THEN
            held_here := held_here || one.id;
        END IF;
    END LOOP;
    RETURN orphans;
END $$;

-- Count new jobs among the children of those that are held for them; gives those whose parent went on since `orphans_in`
-- looked, which are gone again. Whoever cancels such a job waits until we are done, or a child might come after all have been
-- cancelled.
CREATE FUNCTION adopt(children text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    alone_now text[];
    orphans text[] := '{}';
BEGIN
    PERFORM FROM (
        SELECT DISTINCT j.child_of FROM jobs AS j WHERE j.id = ANY (children) ORDER BY j.child_of
    ) AS p CROSS JOIN LATERAL (SELECT FROM jobs AS h WHERE h.id = p.child_of AND h.state = 'held' FOR SHARE) AS h;
    LOOP -- for who hangs below an orphan is one too
        WITH gone AS (
            DELETE FROM jobs AS j
            WHERE j.id = ANY (children)
              AND NOT EXISTS (SELECT FROM jobs AS h WHERE h.id = j.child_of AND h.state = 'held')
            RETURNING j.id
        )
        SELECT array_agg(id) INTO alone_now FROM gone;
        EXIT WHEN alone_now IS NULL;
        DELETE FROM groups WHERE id = ANY (alone_now);
        orphans := orphans || alone_now;
    END LOOP;
    INSERT INTO group_changes (child_of, added)
    SELECT j.child_of, count(*) FROM jobs AS j WHERE j.id = ANY (children) GROUP BY j.child_of;
    RETURN orphans;
END $$;

-- Let go up to `most` held jobs whose children are settled, or let them fail for the oldest child that came to no good end,
-- and be kept as long as that one. Gives how many are due by that, which failed, and how many are in the hands of others.
CREATE FUNCTION settle_held(most integer, now bigint, OUT due integer, OUT failed text[], OUT passed integer)
LANGUAGE plpgsql AS $$
DECLARE
    ready text[];
    moves move[];
BEGIN
    due := 0;
    failed := '{}';
    passed := (SELECT count(*) FROM (SELECT FROM groups WHERE settled LIMIT most) AS g);
    IF passed = 0 OR NOT alone('groups') THEN
        RETURN;
    END IF;
    ready := ARRAY(
        SELECT j.id FROM (SELECT g.id FROM groups AS g WHERE g.settled ORDER BY g.id LIMIT most) AS g CROSS JOIN LATERAL (
            SELECT j.id FROM jobs AS j WHERE j.id = g.id AND j.state = 'held' FOR UPDATE SKIP LOCKED) AS j);
    passed := passed - cardinality(ready);
    SELECT array_agg(ROW(
        0, j.id, j.fence, 'failed', 0, 0, NULL, l.keep_until, NULL,
        coalesce('its child ' || l.id || CASE l.state WHEN 'failed' THEN ' failed' ELSE ' was cancelled' END,
                 'a child of it, now forgotten, failed'),
        NULL, j.unique_key, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::move ORDER BY j.id)
    INTO moves FROM groups AS g JOIN jobs AS j ON j.id = g.id LEFT JOIN LATERAL (
        SELECT e.id, e.state, e.keep_until FROM ended AS e
        WHERE e.child_of = g.id AND e.state IN ('failed', 'cancelled') ORDER BY e.id LIMIT 1
    ) AS l ON true
    WHERE g.id = ANY (ready) AND g.on_failure = 'fail' AND g.failed + g.cancelled > 0;
    failed := ARRAY(SELECT m.id FROM unnest(moves) AS m ORDER BY m.id COLLATE "C");
    PERFORM lock_groups(ready);
    UPDATE groups SET held = false WHERE id = ANY (ready);
    WITH freed AS (
        UPDATE jobs
        SET state = CASE WHEN run_at <= now THEN 'queued' ELSE 'scheduled' END, run_at = greatest(run_at, now)
        WHERE id = ANY (ready) AND id <> ALL (failed) RETURNING state
    )
    SELECT count(*) FILTER (WHERE state = 'queued') INTO due FROM freed;
    IF moves IS NOT NULL THEN
        PERFORM apply(moves, now);
    END IF;
END $$;
