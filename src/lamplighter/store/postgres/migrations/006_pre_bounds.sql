-- Full queues: bounds on how many jobs of a queue, or of a tenant in it, may wait. Those that are held for their
-- children do not count.

-- The bounds that hold for new jobs, and how many of them count. A bound: queue, tenant (none: all), most, whether the
-- oldest make room, how many come.
CREATE FUNCTION bounds_on(batch jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        WITH new AS (
            SELECT DISTINCT ON (j ->> 0) j ->> 1 AS queue, coalesce(j ->> 3, '') AS tenant
            FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (j, place)
            WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = j ->> 0)
              AND NOT EXISTS (SELECT FROM ended WHERE ended.id = j ->> 0)
            ORDER BY j ->> 0, place
        ), touched AS (
            SELECT n.queue, NULL AS tenant, count(*) AS n FROM new AS n GROUP BY n.queue
            UNION ALL SELECT n.queue, n.tenant, count(*) FROM new AS n GROUP BY n.queue, n.tenant
        )
        SELECT jsonb_agg(jsonb_build_array(t.queue, t.tenant, b.most, coalesce((r.rule ->> 'drop')::boolean, false), t.n)
                         ORDER BY t.tenant IS NOT NULL, t.queue, t.tenant)
        FROM touched AS t JOIN records AS r ON r.kind = 'queue' AND r.name = t.queue CROSS JOIN LATERAL (
            SELECT (r.rule ->> CASE WHEN t.tenant IS NULL THEN 'most' ELSE 'most_per_tenant' END)::bigint AS most
        ) AS b
        WHERE b.most IS NOT NULL);
END $$;

-- How many jobs of a queue, or of a tenant in it, wait.
CREATE FUNCTION waiting_in(of_queue text, of_tenant text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF of_tenant IS NULL THEN
        RETURN (SELECT coalesce(sum(t.n), 0) FROM totals AS t
                WHERE t.queue = of_queue AND t.state IN ('scheduled', 'queued'));
    END IF;
    RETURN (SELECT coalesce(sum(t.n), 0) FROM waiting_totals AS t WHERE t.queue = of_queue AND t.tenant = of_tenant);
END $$;

-- The first of these bounds that would be broken, where new jobs are refused then: queue, tenant and most.
CREATE FUNCTION first_broken(bounds jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_array(b -> 0, b -> 1, b -> 2) FROM jsonb_array_elements(bounds) WITH ORDINALITY AS e (b, nth)
        WHERE NOT (b ->> 3)::boolean AND waiting_in(b ->> 0, b ->> 1) + (b ->> 4)::bigint > (b ->> 2)::bigint
        ORDER BY nth LIMIT 1);
END $$;

-- The oldest jobs of a queue, or of a tenant in it, that wait.
CREATE FUNCTION oldest_waiting(of_queue text, of_tenant text, most bigint) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    IF of_tenant IS NULL THEN
        RETURN ARRAY(
            SELECT o.id FROM unnest(ARRAY['scheduled', 'queued']) AS s (state) CROSS JOIN LATERAL (
                SELECT j.id FROM jobs AS j WHERE j.queue = of_queue AND j.state = s.state ORDER BY j.id USING ~<~ LIMIT most
            ) AS o ORDER BY o.id LIMIT most);
    END IF;
    RETURN ARRAY( -- of all that the tenant has here: it is bounded
        SELECT o.id FROM (
            SELECT j.id FROM jobs AS j
            WHERE j.queue = of_queue AND coalesce(j.tenant, '') = of_tenant AND j.state = 'queued' AND j.waits_on IS NULL
            UNION ALL
            SELECT j.id FROM jobs AS j
            WHERE j.queue = of_queue AND coalesce(j.tenant, '') = of_tenant
              AND (j.state = 'scheduled' OR j.waits_on IS NOT NULL)
        ) AS o ORDER BY o.id LIMIT most);
END $$;

-- Cancel the oldest that wait beyond these bounds, but for those that another transaction has in its hands.
CREATE FUNCTION make_room(bounds jsonb, now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
    moves move[];
BEGIN
    FOR one IN
        SELECT b ->> 0 AS queue, b ->> 1 AS tenant, (b ->> 2)::bigint AS most
        FROM jsonb_array_elements(bounds) WITH ORDINALITY AS e (b, nth) WHERE (b ->> 3)::boolean ORDER BY nth
    LOOP
        SELECT array_agg(ROW(
            o.place, j.id, j.fence, 'cancelled', 0, 0, NULL, NULL, NULL,
            'dropped: its queue was full, and it was the oldest that waited', NULL, j.unique_key, NULL, NULL, NULL,
            NULL, NULL, NULL, NULL)::move)
        INTO moves
        FROM unnest(oldest_waiting(one.queue, one.tenant, greatest(0, waiting_in(one.queue, one.tenant) - one.most)))
            WITH ORDINALITY AS o (id, place)
        CROSS JOIN LATERAL (
            SELECT j.id, j.fence, j.unique_key FROM jobs AS j WHERE j.id = o.id AND j.state IN ('scheduled', 'queued')
            FOR UPDATE SKIP LOCKED
        ) AS j;
        IF moves IS NOT NULL THEN
            PERFORM apply(moves, now);
        END IF;
    END LOOP;
END $$;
