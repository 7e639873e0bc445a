-- Claims: what is next, what its limits let through, and what its tenant is charged.

-- A job that is next in its class: as of which tag of its line, what its tenant is charged for it, how many of its line were
-- seen (if that is known), and whether (`own`) it had a place before the gate that let it go. `gate`: the one that does not
-- let it through.
CREATE TYPE pick AS (
    nth integer, start bigint, tenant text, charge bigint, id text, seen integer, limits text[], let_go text, own bigint,
    gate text);

-- Queues and priorities that have jobs to claim, of these queues (none: of all): the highest priority first, then the
-- earliest due job that is next in its class.
CREATE FUNCTION classes_to_claim(wanted text[]) RETURNS TABLE (of_queue text, of_priority integer, served bigint)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT c.queue, c.priority, c.served FROM (
            SELECT c.* FROM classes AS c WHERE cardinality(wanted) = 0
            UNION ALL SELECT c.* FROM (SELECT DISTINCT u.queue FROM unnest(wanted) AS u (queue)) AS u
            JOIN classes AS c ON c.queue = u.queue WHERE cardinality(wanted) > 0
        ) AS c CROSS JOIN LATERAL (
            SELECT j.run_at, j.id FROM lines AS l CROSS JOIN LATERAL (
                SELECT j.run_at, j.id FROM jobs AS j
                WHERE j.queue = l.queue AND coalesce(j.tenant, '') = l.tenant AND j.priority = l.priority
                  AND j.state = 'queued' AND j.waits_on IS NULL
                ORDER BY j.run_at, j.id LIMIT 1
            ) AS j
            WHERE l.queue = c.queue AND l.priority = c.priority AND l.active ORDER BY l.tag, l.tenant LIMIT 1
        ) AS h
        WHERE NOT EXISTS (SELECT FROM paused AS p WHERE p.queue = c.queue)
        ORDER BY c.priority DESC, h.run_at, h.id;
END $$;

-- The jobs that are next in a class whose highest tag served is this, up to `most`, but for those that another transaction
-- has in its hands.
CREATE FUNCTION plan(of_queue text, of_priority integer, served bigint, most integer) RETURNS pick[] LANGUAGE plpgsql AS $$
DECLARE
    tenants text[];
    tags bigint[];
    charges bigint[];
    weighted boolean := EXISTS (SELECT FROM records WHERE kind = 'tenant');
BEGIN
    SELECT array_agg(n.tenant), array_agg(n.tag), array_agg(n.charge) INTO tenants, tags, charges FROM (
        SELECT l.tenant, l.tag, 1000 / weight_in(CASE WHEN weighted THEN (
            SELECT r.rule FROM records AS r WHERE r.kind = 'tenant' AND r.name = l.tenant) END) AS charge
        FROM lines AS l WHERE l.queue = of_queue AND l.priority = of_priority AND l.active ORDER BY l.tag, l.tenant LIMIT most
    ) AS n;
    IF cardinality(tenants) > 1 THEN
        RETURN plan_of_many(of_queue, of_priority, served, most, tenants, tags, charges);
    END IF;
    RETURN ARRAY(
        SELECT ROW(j.nth, CASE j.nth WHEN 1 THEN tags[1] ELSE greatest(tags[1], served) + (j.nth - 1) * charges[1] END,
                   tenants[1], charges[1], j.id, NULL, j.limits, j.let_go, j.place, NULL)::pick
        FROM (
            SELECT row_number() OVER () AS nth, o.* FROM (
                SELECT j.id, j.limits, j.let_go, j.place FROM jobs AS j
                WHERE j.queue = of_queue AND coalesce(j.tenant, '') = tenants[1] AND j.priority = of_priority
                  AND j.state = 'queued' AND j.waits_on IS NULL
                ORDER BY j.run_at, j.id LIMIT most FOR UPDATE SKIP LOCKED
            ) AS o
        ) AS j);
END $$;

-- The same where there is more than one line. Of each as many jobs are looked at as its weight makes likely, and one more:
-- those before the first that was not looked at, and that there may be, are certain. If these are too few, four times as
-- many are looked at.
CREATE FUNCTION plan_of_many(of_queue text, of_priority integer, served bigint, most integer, tenants text[],
                             tags bigint[], charges bigint[]) RETURNS pick[] LANGUAGE plpgsql AS $$
DECLARE
    per_charge numeric := most / (SELECT sum(1.0 / c) FROM unnest(charges) AS c);
    depth integer := 1;
    picks pick[];
    certain boolean;
BEGIN
    LOOP
        WITH looked_at AS (
            SELECT n.tenant, n.charge, n.slice, j.id, j.seen, j.limits, j.let_go, j.place, j.nth,
                   CASE j.nth WHEN 0 THEN n.tag ELSE greatest(n.tag, served) + j.nth * n.charge END AS start
            FROM (
                SELECT *, least(most, depth * ceil(per_charge / charge) + 1)::integer AS slice
                FROM unnest(tenants, tags, charges) AS u (tenant, tag, charge)
            ) AS n CROSS JOIN LATERAL (
                SELECT o.*, row_number() OVER () - 1 AS nth, count(*) OVER () - 1 AS seen FROM (
                    SELECT * FROM (
                        SELECT j.id, j.limits, j.let_go, j.place FROM jobs AS j
                        WHERE j.queue = of_queue AND coalesce(j.tenant, '') = n.tenant AND j.priority = of_priority
                          AND j.state = 'queued' AND j.waits_on IS NULL
                        ORDER BY j.run_at, j.id LIMIT n.slice FOR UPDATE SKIP LOCKED
                    ) AS f
                    UNION ALL SELECT NULL, NULL, NULL, NULL -- the next that there may be
                ) AS o
            ) AS j
            WHERE j.id IS NOT NULL OR j.nth = n.slice
        ), ordered AS (
            SELECT l.*, row_number() OVER o AS place_in_all, bool_or(l.nth = l.slice) OVER o AS uncertain
            FROM looked_at AS l WINDOW o AS (ORDER BY l.start, l.tenant, l.nth)
        )
        SELECT array_agg(ROW(o.place_in_all, o.start, o.tenant, o.charge, o.id, o.seen, o.limits, o.let_go, o.place, NULL)::pick
                         ORDER BY o.place_in_all) FILTER (WHERE NOT o.uncertain AND o.place_in_all <= most),
               count(*) FILTER (WHERE NOT o.uncertain) >= most OR bool_or(o.uncertain) IS NOT TRUE
        INTO picks, certain FROM ordered AS o;
        IF certain THEN
            RETURN coalesce(picks, '{}');
        END IF;
        depth := depth * 4;
    END LOOP;
END $$;

-- Which of these jobs, one after the other, all of their limits let through: these take a slot of each. The others get the
-- first gate that does not.
CREATE FUNCTION admit(picks pick[], moment bigint) RETURNS pick[] LANGUAGE plpgsql AS $$
DECLARE
    keys text[];
    wanted bigint[]; -- how many slots of each gate
    room bigint[];
    intervals bigint[];
    enough boolean;
BEGIN
    FOR nth IN 1..2 LOOP
        SELECT array_agg(w.key), array_agg(w.n), array_agg(w.free), array_agg(w.every), bool_and(w.n <= w.free)
        INTO keys, wanted, room, intervals, enough FROM (
            SELECT k.key, k.n, (a.r).every, free(a.g, a.r, moment) AS free FROM (
                SELECT l.key, count(*) AS n FROM unnest(picks) AS p CROSS JOIN LATERAL unnest(p.limits) AS l (key)
                GROUP BY l.key
            ) AS k CROSS JOIN LATERAL (
                SELECT (SELECT g FROM gates AS g WHERE g.key = k.key) AS g,
                       (SELECT r FROM rules AS r WHERE r.name = limit_of(k.key)) AS r OFFSET 0
            ) AS a
        ) AS w;
        EXIT WHEN enough OR nth = 2;
        PERFORM fold_gates(); -- for slots may have come free that the gates do not know of yet
    END LOOP;
    IF NOT enough THEN
        SELECT o.judged, o.taken INTO picks, wanted FROM one_by_one(picks, keys, room) AS o;
    END IF;
    INSERT INTO gates (key, running, tat)
    SELECT t.key, t.n, CASE WHEN t.every > 0 THEN moment + t.n * t.every ELSE 0 END
    FROM unnest(keys, wanted, intervals) AS t (key, n, every) WHERE t.n > 0
    ON CONFLICT (key) DO UPDATE
    SET running = gates.running + excluded.running, probing = gates.probing OR gates.openings > 0,
        tat = CASE WHEN excluded.tat = 0 THEN gates.tat ELSE greatest(gates.tat, moment) + excluded.tat - moment END;
    RETURN picks;
END $$;

-- Let jobs through gates that have not room for all of them; gives how many went through each, too.
CREATE FUNCTION one_by_one(picks pick[], keys text[], room bigint[], OUT judged pick[], OUT taken bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    one record;
    at integer;
    shut integer;
    shut_for text[] := array_fill(NULL::text, ARRAY[cardinality(picks)]);
BEGIN
    taken := array_fill(0::bigint, ARRAY[cardinality(keys)]);
    FOR one IN
        SELECT p.nth, array_agg(array_position(keys, l.key) ORDER BY l.nth) AS through
        FROM unnest(picks) AS p CROSS JOIN LATERAL unnest(p.limits) WITH ORDINALITY AS l (key, nth)
        GROUP BY p.nth ORDER BY p.nth
    LOOP
        shut := NULL;
        FOREACH at IN ARRAY one.through LOOP
            IF taken[at] >= room[at] THEN
                shut := at;
                EXIT;
            END IF;
        END LOOP;
        IF shut IS NOT NULL THEN
            shut_for[one.nth] := keys[shut];
            CONTINUE;
        END IF;
        FOREACH at IN ARRAY one.through LOOP
            taken[at] := taken[at] + 1;
        END LOOP;
    END LOOP;
    judged := ARRAY(
        SELECT ROW(p.nth, p.start, p.tenant, p.charge, p.id, p.seen, p.limits, p.let_go, p.own, shut_for[p.nth])::pick
        FROM unnest(picks) AS p ORDER BY p.nth);
END $$;

-- Those that a gate did not let through wait before it: each behind its tenant's last, or where who was let go last stood.
-- Who was let go, and came too late, has its place again. (`ahead`: by how much the places of a tenant's newcomers have
-- gone up so far.)
CREATE FUNCTION park(picks pick[], of_queue text, of_priority integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO waits (key, queue, look_at)
    SELECT k.key, of_queue, opens_at(a.g, a.r) FROM (SELECT DISTINCT p.gate AS key FROM unnest(picks) AS p) AS k
    CROSS JOIN LATERAL (
        SELECT (SELECT g FROM gates AS g WHERE g.key = k.key) AS g,
               (SELECT r FROM rules AS r WHERE r.name = limit_of(k.key)) AS r OFFSET 0
    ) AS a
    WHERE k.key IS NOT NULL
    ON CONFLICT (key, queue) DO UPDATE SET look_at = excluded.look_at;
    WITH parked AS (
        SELECT p.nth, p.id, p.tenant, p.charge, p.gate, CASE WHEN p.let_go = p.gate THEN p.own END AS own
        FROM unnest(picks) AS p WHERE p.gate IS NOT NULL
    ), counted AS (
        SELECT p.*, p.charge * count(*) FILTER (WHERE p.own IS NULL) OVER o AS ahead, first_value(p.own) OVER o AS own_of_first
        FROM parked AS p WINDOW o AS (PARTITION BY p.gate, p.tenant ORDER BY p.nth)
    ), placed AS (
        SELECT c.id, c.gate, coalesce(c.own, c.ahead + greatest(
            coalesce(last.place, CASE WHEN c.own_of_first IS NULL THEN (
                SELECT w.served FROM waits AS w WHERE w.key = c.gate AND w.queue = of_queue) - c.charge END),
            max(c.own - c.ahead) OVER (PARTITION BY c.gate, c.tenant ORDER BY c.nth))) AS place
        FROM counted AS c LEFT JOIN LATERAL (
            SELECT j.place FROM jobs AS j
            WHERE j.waits_on = c.gate AND j.queue = of_queue AND j.priority = of_priority
              AND coalesce(j.tenant, '') = c.tenant
            ORDER BY j.place DESC LIMIT 1
        ) AS last ON true
    )
    UPDATE jobs AS j SET waits_on = p.gate, place = p.place, let_go = NULL FROM placed AS p WHERE j.id = p.id;
END $$;

-- Charge the tenants of those that start, and see in whose lines there are jobs left; gives the highest tag that was served.
CREATE FUNCTION serve(picks pick[], of_queue text, of_priority integer, before bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    highest bigint := greatest(before, (SELECT max(p.start) FROM unnest(picks) AS p WHERE p.gate IS NULL));
BEGIN
    INSERT INTO lines (queue, priority, tenant, tag, active) -- all of them are there, and each is found by its whole key
    SELECT of_queue, of_priority, s.tenant, s.charged, coalesce(s.more_seen, false) OR EXISTS (
        SELECT FROM jobs AS j WHERE j.queue = of_queue AND coalesce(j.tenant, '') = s.tenant AND j.priority = of_priority
                                AND j.state = 'queued' AND j.waits_on IS NULL OFFSET 0)
    FROM (
        SELECT p.tenant, p.charge * count(*) FILTER (WHERE p.gate IS NULL) AS charged, max(p.seen) > count(*) AS more_seen
        FROM unnest(picks) AS p GROUP BY p.tenant, p.charge
    ) AS s
    ON CONFLICT (queue, priority, tenant) DO UPDATE
    SET active = excluded.active,
        tag = CASE excluded.tag WHEN 0 THEN lines.tag ELSE greatest(lines.tag, before) + excluded.tag END;
    IF highest > before THEN
        UPDATE classes SET served = highest WHERE queue = of_queue AND priority = of_priority;
    END IF;
    RETURN highest;
END $$;

-- Whether there may be anything to claim.
CREATE FUNCTION may_claim(wanted text[], moment bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM line_changes)
        OR EXISTS (SELECT FROM waits WHERE look_at <= moment)
        OR EXISTS (SELECT FROM waits) AND EXISTS (SELECT FROM gate_changes)
        OR EXISTS (
            SELECT FROM classes AS c WHERE (cardinality(wanted) = 0 OR c.queue = ANY (wanted))
               AND EXISTS (SELECT FROM lines AS l WHERE l.queue = c.queue AND l.priority = c.priority AND l.active)
               AND NOT EXISTS (SELECT FROM paused AS p WHERE p.queue = c.queue));
END $$;

-- Claim up to `most` queued jobs of these queues (none: of every queue) for a worker; ends with a row of nothing if a
-- thousand were found to be before a shut gate, and the rest was left.
-- Where another owns, it looks before it waits: a worker that finds nothing should not stand in anybody's way.
CREATE FUNCTION claim(wanted text[], most integer, claimer text, until bigint, now bigint)
RETURNS TABLE (id text, fence bigint, name text, queue text, tenant text, args text, priority integer, run_at bigint,
               created_at bigint, failures integer, crashes integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    class record;
    picks pick[];
    taken integer;
    parked integer := 0;
BEGIN
    IF NOT alone('lines') THEN
        IF NOT may_claim(wanted, now) THEN
            RETURN;
        END IF;
        PERFORM own();
    END IF;
    IF must_fold_gates() THEN
        PERFORM fold_gates();
    END IF;
    PERFORM let_go(now);
    PERFORM fold_lines();
    FOR class IN SELECT * FROM classes_to_claim(wanted) LOOP
        WHILE most > 0 LOOP
            IF parked >= 1000 THEN
                RETURN QUERY SELECT (NULL::jobs).id, NULL::bigint, NULL, NULL, NULL, NULL, NULL::integer, NULL::bigint,
                                    NULL::bigint, NULL::integer, NULL::integer;
                RETURN;
            END IF;
            picks := plan(class.of_queue, class.of_priority, class.served, most);
            EXIT WHEN picks = '{}';
            IF EXISTS (SELECT FROM unnest(picks) AS p WHERE p.limits IS NOT NULL) THEN
                picks := admit(picks, now);
            END IF;
            RETURN QUERY
                WITH started AS (
                    UPDATE jobs AS j
                    SET state = 'running', fence = j.fence + 1, worker = claimer, started_at = now, lease_until = until,
                        progress = NULL, let_go = NULL, place = NULL
                    FROM unnest(picks) AS p WHERE j.id = p.id AND p.gate IS NULL
                    RETURNING p.nth, j.id, j.fence, j.name, j.queue, j.tenant, j.args, j.priority, j.run_at, j.created_at,
                              j.failures, j.crashes, j.unique_key, j.unique_mode
                ), let_go AS (
                    DELETE FROM keys USING started AS s
                    WHERE s.unique_mode = 'pending' AND keys.key = (
                        SELECT k.key FROM keys AS k WHERE k.key = s.unique_key AND k.job = s.id FOR UPDATE SKIP LOCKED)
                )
                SELECT s.id, s.fence, s.name, s.queue, s.tenant, s.args, s.priority, s.run_at, s.created_at, s.failures,
                       s.crashes
                FROM started AS s ORDER BY s.nth;
            GET DIAGNOSTICS taken = ROW_COUNT;
            IF taken < cardinality(picks) THEN
                PERFORM park(picks, class.of_queue, class.of_priority);
            END IF;
            class.served := serve(picks, class.of_queue, class.of_priority, class.served);
            most := most - taken;
            parked := parked + cardinality(picks) - taken;
            EXIT WHEN taken = cardinality(picks);
        END LOOP;
    END LOOP;
END $$;
