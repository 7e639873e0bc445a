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
