-- The lines of tenants in a queue and priority: whose turn it is. `core.flow_control` says what it means.
-- Lines, and the gates of the next step, belong to one owner at a time: a claim, mostly. Others only append what happened,
-- and wait for nobody.

-- Who is next of a queue and priority: the tenant whose line has the lowest tag. `active`: there are jobs in it.
CREATE TABLE lines (
    queue    text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    tenant   text COLLATE "C" NOT NULL,
    tag      bigint NOT NULL,
    active   boolean NOT NULL,
    PRIMARY KEY (queue, priority, tenant)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX lines_active ON lines (queue, priority, tag, tenant) WHERE active;
CREATE INDEX lines_idle ON lines (queue, priority, tag) WHERE NOT active;

-- The queues and priorities that have lines, each with the highest tag that was served.
CREATE TABLE classes (
    queue    text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    served   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, priority)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- Own the lines, gates and waits until this transaction ends. Waits for the owner before, who needs milliseconds.
CREATE FUNCTION own() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock((1818324332::bigint << 32) + 'lines'::regclass::oid::bigint);
$$;

-- How heavy a tenant's rule makes it.
CREATE FUNCTION weight_in(rule jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT least(1000, greatest(1, coalesce((rule ->> 'weight')::bigint, 1)))
$$;

-- Bring the lines up to what happened. A tenant is charged for the time of a job only if its line is still known.
CREATE FUNCTION fold_lines() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM line_changes) THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM line_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM line_changes LIMIT 10000)) RETURNING *
    ), changed AS (
        SELECT o.queue, o.priority, o.tenant, o.since, coalesce(sum(o.charge), 0) AS charged,
               coalesce(sum(o.charge) FILTER (WHERE o.seq > o.since), 0) AS charged_since
        FROM (SELECT *, min(seq) FILTER (WHERE charge IS NULL) OVER (PARTITION BY queue, priority, tenant) AS since
              FROM gone) AS o
        GROUP BY 1, 2, 3, 4
    ), known AS (
        SELECT c.*, l.tenant IS NOT NULL AS known FROM changed AS c
        LEFT JOIN lines AS l ON l.queue = c.queue AND l.priority = c.priority AND l.tenant = c.tenant
        WHERE c.since IS NOT NULL OR l.tenant IS NOT NULL
    ), classed AS (
        INSERT INTO classes (queue, priority) SELECT DISTINCT queue, priority FROM known WHERE NOT known
        ON CONFLICT DO NOTHING
    )
    INSERT INTO lines (queue, priority, tenant, tag, active)
    SELECT k.queue, k.priority, k.tenant, CASE WHEN k.known THEN k.charged ELSE k.charged_since END,
           EXISTS (SELECT FROM jobs AS j WHERE j.queue = k.queue AND coalesce(j.tenant, '') = k.tenant
                                           AND j.priority = k.priority AND j.state = 'queued' AND j.waits_on IS NULL
                   OFFSET 0) -- or it would gather all the jobs there are into a hash table
    FROM known AS k
    ON CONFLICT (queue, priority, tenant) DO UPDATE SET tag = lines.tag + excluded.tag, active = excluded.active
    WHERE excluded.tag <> 0 OR lines.active <> excluded.active;
END $$;

-- The lines of a queue that have jobs: by priority, then who is next. What was counted lately has no index, and is read
-- once for all of them.
CREATE FUNCTION shares(of_queue text, most integer)
RETURNS TABLE (queue text, priority integer, tenant text, queued bigint, tag bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM own();
    PERFORM fold_lines();
    RETURN QUERY
        WITH lately AS MATERIALIZED (
            SELECT priority, tenant, sum(n) AS n FROM count_changes
            WHERE queue = of_queue AND state = 'queued' AND gate IS NULL AND tenant IS NOT NULL GROUP BY 1, 2
        )
        SELECT l.queue, l.priority, l.tenant, (coalesce(w.n, 0) + coalesce(c.n, 0))::bigint, l.tag FROM (
            SELECT l.* FROM lines AS l WHERE l.queue = of_queue AND l.active
            ORDER BY l.priority DESC, l.tag, l.tenant LIMIT most
        ) AS l
        LEFT JOIN waiting AS w ON w.queue = l.queue AND w.tenant = l.tenant AND w.priority = l.priority
                              AND w.state = 'queued' AND w.gate = ''
        LEFT JOIN lately AS c ON c.priority = l.priority AND c.tenant = l.tenant
        ORDER BY l.priority DESC, l.tag, l.tenant;
END $$;
