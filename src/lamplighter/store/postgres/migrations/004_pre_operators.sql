-- What operators and the janitor do to jobs.

-- Of these jobs, end at once those that wait and ask those that run to stop, if they are in one of these states.
CREATE FUNCTION cancel(ids text[], states text[], keep bigint, now bigint, OUT stopped text[], OUT asked text[])
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
        w.place, j.id, j.fence, 'cancelled', 0, 0, NULL, keep, NULL, 'cancelled', NULL, j.unique_key, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL)::move
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
CREATE FUNCTION retry(ids text[], states text[], now bigint) RETURNS text[] LANGUAGE plpgsql AS $$
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
                          unique_mode, unique_until, limits, child_of)
        SELECT id, queue, name, tenant,
               CASE WHEN EXISTS (SELECT FROM groups AS g WHERE g.id = back.id) THEN 'held' ELSE 'queued' END, priority, now,
               created_at, args, fence, unique_key, unique_mode, unique_until, limits, child_of
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
CREATE FUNCTION prune(keep_done bigint, keep_failed bigint, most integer, now bigint) RETURNS integer
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
    PERFORM forget_idle(now);
    DELETE FROM keys WHERE key = ANY (ARRAY( -- but for those that a transaction is taking over
        SELECT key FROM keys WHERE until <= now ORDER BY until FOR UPDATE SKIP LOCKED));
    DELETE FROM records WHERE expires_at <= now;
    RETURN cardinality(doomed);
END $$;
