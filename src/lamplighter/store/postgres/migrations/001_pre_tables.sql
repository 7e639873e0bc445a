-- The first tables. They are made inside a PostgreSQL schema of ours, so that no name meets one of the application's.
-- Times are microseconds since 1970, UTC. Live jobs stand apart from ended ones, so that neither a long past slows a
-- claim nor vacuum has to walk it.

-- Which database this is: a caller's transaction may be open on another one that holds such a schema too.
CREATE TABLE about (id uuid NOT NULL DEFAULT gen_random_uuid());
INSERT INTO about DEFAULT VALUES;

CREATE TABLE jobs (
    id           text COLLATE "C" PRIMARY KEY,
    queue        text COLLATE "C" NOT NULL,
    name         text NOT NULL,
    tenant       text COLLATE "C",
    state        text COLLATE "C" NOT NULL CHECK (state IN ('held', 'scheduled', 'queued', 'running')),
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
    progress     text,
    limits       text[] COLLATE "C", -- the gates that it goes through; NULL: none
    waits_on     text COLLATE "C",   -- the one that a queued job waits before
    let_go       text COLLATE "C",   -- the one that let it go, so that it stands in its line again
    place        bigint,             -- where it stands, or stood, before that one
    child_of     text COLLATE "C"    -- the job that is held for it, or was
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX jobs_by_queue ON jobs (queue, state, id text_pattern_ops); -- an order of its own: see `Queries.page`
-- A line of jobs that may be claimed is an equal beginning of this: of one queue, tenant and priority.
CREATE INDEX jobs_in_line ON jobs (queue, (coalesce(tenant, '')), priority, run_at, id)
    WHERE state = 'queued' AND waits_on IS NULL;
-- The rest of what waits, so that the jobs of one tenant are found.
CREATE INDEX jobs_not_in_line ON jobs (queue, (coalesce(tenant, '')))
    WHERE state = 'scheduled' OR waits_on IS NOT NULL;
-- Who goes next through a gate, and who of a tenant came last.
CREATE INDEX jobs_before_gate ON jobs (waits_on, queue, priority DESC, place, run_at, id) WHERE waits_on IS NOT NULL;
CREATE INDEX jobs_last_before_gate ON jobs (waits_on, queue, priority, (coalesce(tenant, '')), place)
    WHERE waits_on IS NOT NULL;
CREATE INDEX jobs_let_go ON jobs (let_go, queue) WHERE let_go IS NOT NULL;
CREATE INDEX jobs_scheduled ON jobs (run_at, id) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON jobs (lease_until, id) WHERE state = 'running';
CREATE INDEX jobs_of_tenant ON jobs (tenant, state, id text_pattern_ops) WHERE tenant IS NOT NULL;
CREATE INDEX jobs_children ON jobs (child_of, id text_pattern_ops) WHERE child_of IS NOT NULL;

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
    reason       text,
    limits       text[] COLLATE "C",
    child_of     text COLLATE "C"
);

CREATE INDEX ended_by_queue ON ended (queue, state, id text_pattern_ops);
CREATE INDEX ended_of_tenant ON ended (tenant, state, id text_pattern_ops) WHERE tenant IS NOT NULL;
CREATE INDEX ended_expiry ON ended (keep_until, id) WHERE keep_until IS NOT NULL;
CREATE INDEX ended_children ON ended (child_of, id text_pattern_ops) WHERE child_of IS NOT NULL;
CREATE INDEX ended_lost ON ended (child_of, id) WHERE child_of IS NOT NULL AND state IN ('failed', 'cancelled');

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

-- `rule`: the value of one that is a rule of flow control, made sure to be one (`{}`: the default rule).
CREATE TABLE records (
    kind       text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    value      text NOT NULL,
    expires_at bigint,
    rule       jsonb,
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

-- Of jobs that are scheduled or queued also: of which tenant, in which priority, and before which gate (none: ''). Those
-- that are held for their children do not wait in this sense.
CREATE TABLE waiting (
    queue    text COLLATE "C" NOT NULL,
    tenant   text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    state    text COLLATE "C" NOT NULL,
    gate     text COLLATE "C" NOT NULL,
    n        bigint NOT NULL,
    PRIMARY KEY (queue, tenant, priority, state, gate)
);

CREATE INDEX waiting_before_gate ON waiting (gate) WHERE gate <> '';

-- (tenant, priority and gate only of jobs that are scheduled or queued)
CREATE TABLE count_changes (
    queue    text COLLATE "C" NOT NULL,
    state    text COLLATE "C" NOT NULL,
    tenant   text COLLATE "C",
    priority integer,
    gate     text COLLATE "C",
    n        bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- Who stands in line, and before which gate, belongs to one owner at a time (see `own`). Everybody else appends here what
-- changed: a line that somebody came to or left, or (`charge`) what its tenant is charged on top.
CREATE TABLE line_changes (
    seq      bigint GENERATED ALWAYS AS IDENTITY,
    queue    text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    tenant   text COLLATE "C" NOT NULL,
    charge   bigint
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- What happened to a gate. settle: so many slots came free, and so many attempts ended well or badly. left: of this queue,
-- somebody waits no more. rule: the rule of the limit of that name changed. The rest are orders, `until` then or for good.
-- `plain`: it is of no breaker, so nobody has to know of it soon unless he wants the slots.
CREATE TABLE gate_changes (
    seq   bigint GENERATED ALWAYS AS IDENTITY,
    key   text COLLATE "C" NOT NULL,
    verb  text NOT NULL CHECK (verb IN ('settle', 'left', 'rule', 'penalize', 'open', 'close')),
    at    bigint NOT NULL DEFAULT 0,
    freed bigint NOT NULL DEFAULT 0,
    oks   bigint NOT NULL DEFAULT 0,
    bads  bigint NOT NULL DEFAULT 0,
    until bigint,
    queue text COLLATE "C",
    plain boolean NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX gate_changes_not_plain ON gate_changes (seq) WHERE NOT plain;

-- The triggers keep the counts and tell the owner, so no statement can forget to. (But for two: a claim, which is the
-- owner's, and `replace_waiting`, which takes a job elsewhere without ending it, and tells the owner itself.)
CREATE FUNCTION count_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH changes AS (
        INSERT INTO count_changes (queue, state, tenant, priority, gate, n)
        SELECT queue, state, CASE WHEN state <> 'held' THEN coalesce(tenant, '') END,
               CASE WHEN state <> 'held' THEN priority END, waits_on, count(*)
        FROM added GROUP BY 1, 2, 3, 4, 5
        RETURNING *
    )
    INSERT INTO line_changes (queue, priority, tenant)
    SELECT queue, priority, tenant FROM changes WHERE state = 'queued' AND gate IS NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION count_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH changes AS (
        INSERT INTO count_changes (queue, state, tenant, priority, gate, n)
        SELECT queue, state, CASE WHEN state IN ('scheduled', 'queued') THEN coalesce(tenant, '') END,
               CASE WHEN state IN ('scheduled', 'queued') THEN priority END, waits_on, -count(*)
        FROM gone GROUP BY 1, 2, 3, 4, 5
        RETURNING *
    ), left_before_gate AS (
        INSERT INTO gate_changes (key, verb, queue) SELECT DISTINCT gate, 'left', queue FROM changes WHERE gate IS NOT NULL
    )
    INSERT INTO line_changes (queue, priority, tenant)
    SELECT queue, priority, tenant FROM changes WHERE state = 'queued' AND gate IS NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH changes AS (
        INSERT INTO count_changes (queue, state, tenant, priority, gate, n)
        SELECT queue, state, CASE WHEN state IN ('scheduled', 'queued') THEN coalesce(tenant, '') END,
               CASE WHEN state IN ('scheduled', 'queued') THEN priority END, waits_on, sum(n)
        FROM (SELECT queue, state, tenant, priority, waits_on, 1 AS n FROM added
              UNION ALL SELECT queue, state, tenant, priority, waits_on, -1 FROM gone) AS moved
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0
        RETURNING *
    )
    INSERT INTO line_changes (queue, priority, tenant)
    SELECT queue, priority, tenant FROM changes WHERE state = 'queued' AND gate IS NULL AND n > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION count_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_changes (queue, state, n) SELECT queue, state, count(*) FROM added GROUP BY 1, 2;
    RETURN NULL;
END $$;

CREATE FUNCTION count_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_changes (queue, state, n) SELECT queue, state, -count(*) FROM gone GROUP BY 1, 2;
    RETURN NULL;
END $$;

CREATE TRIGGER jobs_added AFTER INSERT ON jobs REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added();
CREATE TRIGGER jobs_gone AFTER DELETE ON jobs REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION count_gone();
CREATE TRIGGER jobs_moved AFTER UPDATE ON jobs REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_moved();
CREATE TRIGGER ended_added AFTER INSERT ON ended REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_ended();
CREATE TRIGGER ended_gone AFTER DELETE ON ended REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION count_forgotten();

CREATE VIEW totals AS
SELECT queue, state, sum(n)::bigint AS n
FROM (SELECT queue, state, n FROM counts UNION ALL SELECT queue, state, n FROM count_changes) AS counted
GROUP BY queue, state;

CREATE VIEW waiting_totals AS
SELECT queue, tenant, priority, state, gate, sum(n)::bigint AS n
FROM (SELECT queue, tenant, priority, state, gate, n FROM waiting
      UNION ALL SELECT queue, tenant, priority, state, coalesce(gate, ''), n FROM count_changes
      WHERE tenant IS NOT NULL) AS counted
GROUP BY queue, tenant, priority, state, gate;
