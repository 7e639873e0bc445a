-- The first schema. Tables carry a prefix, because the file may hold the tables of the host application too.
-- Times are microseconds since 1970, UTC. Live jobs stand apart from ended ones, so that a long past slows no claim.

CREATE TABLE lamp_jobs (
    id          TEXT PRIMARY KEY,
    queue       TEXT NOT NULL,
    name        TEXT NOT NULL,
    tenant      TEXT,
    state       TEXT NOT NULL CHECK (state IN ('scheduled', 'queued', 'running')),
    priority    INTEGER NOT NULL,
    run_at      INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    args        TEXT NOT NULL,
    fence       INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    unique_key  TEXT,
    unique_mode TEXT,
    worker      TEXT,
    started_at  INTEGER,
    lease_until INTEGER,
    stopping    INTEGER NOT NULL DEFAULT 0,
    progress    TEXT
) WITHOUT ROWID;

CREATE INDEX lamp_jobs_queued ON lamp_jobs (queue, priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX lamp_jobs_scheduled ON lamp_jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX lamp_jobs_running ON lamp_jobs (lease_until) WHERE state = 'running';

CREATE TABLE lamp_ended (
    id          TEXT PRIMARY KEY,
    queue       TEXT NOT NULL,
    name        TEXT NOT NULL,
    tenant      TEXT,
    state       TEXT NOT NULL CHECK (state IN ('done', 'failed', 'cancelled')),
    priority    INTEGER NOT NULL,
    run_at      INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    args        TEXT NOT NULL,
    fence       INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    crashes     INTEGER NOT NULL,
    unique_key  TEXT,
    unique_mode TEXT,
    worker      TEXT,
    started_at  INTEGER,
    ended_at    INTEGER NOT NULL,
    keep_until  INTEGER,
    result      TEXT,
    reason      TEXT
) WITHOUT ROWID;

CREATE INDEX lamp_ended_by_queue ON lamp_ended (queue, state, id);
CREATE INDEX lamp_ended_expiry ON lamp_ended (keep_until) WHERE keep_until IS NOT NULL;

CREATE TABLE lamp_failures (
    job       TEXT NOT NULL,
    fence     INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    error     TEXT NOT NULL,
    message   TEXT NOT NULL,
    traceback TEXT NOT NULL,
    PRIMARY KEY (job, fence)
) WITHOUT ROWID;

-- Who holds which unique key. `until` is set for keys that outlive their job.
CREATE TABLE lamp_keys (
    key   TEXT PRIMARY KEY,
    job   TEXT NOT NULL,
    until INTEGER
) WITHOUT ROWID;

CREATE INDEX lamp_keys_expiry ON lamp_keys (until) WHERE until IS NOT NULL;

CREATE TABLE lamp_queues (
    name   TEXT PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE lamp_records (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

CREATE INDEX lamp_records_expiry ON lamp_records (expires_at) WHERE expires_at IS NOT NULL;

-- How many jobs of each queue are in each state. The triggers keep it, so no statement can forget to.
CREATE TABLE lamp_counts (
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) WITHOUT ROWID;

CREATE TRIGGER lamp_jobs_added AFTER INSERT ON lamp_jobs BEGIN
    INSERT INTO lamp_counts VALUES (new.queue, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER lamp_jobs_moved AFTER UPDATE OF state ON lamp_jobs WHEN old.state <> new.state BEGIN
    UPDATE lamp_counts SET n = n - 1 WHERE queue = old.queue AND state = old.state;
    INSERT INTO lamp_counts VALUES (new.queue, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER lamp_jobs_gone AFTER DELETE ON lamp_jobs BEGIN
    UPDATE lamp_counts SET n = n - 1 WHERE queue = old.queue AND state = old.state;
END;

CREATE TRIGGER lamp_ended_added AFTER INSERT ON lamp_ended BEGIN
    INSERT INTO lamp_counts VALUES (new.queue, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER lamp_ended_gone AFTER DELETE ON lamp_ended BEGIN
    UPDATE lamp_counts SET n = n - 1 WHERE queue = old.queue AND state = old.state;
END;
