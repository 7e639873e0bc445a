-- Flow control: queued jobs stand in lines, one for each tenant of a queue and priority, or wait before gates.
-- Triggers keep every count. So statements cannot forget to, nor can workers of before: those share no queue among
-- tenants and obey no limits, but what they start and end is counted.

ALTER TABLE lamp_jobs ADD COLUMN limits TEXT; -- the keys of its limits, a JSON array; NULL: none
ALTER TABLE lamp_jobs ADD COLUMN gate TEXT; -- the key that a queued job waits for; NULL: it stands in its line
ALTER TABLE lamp_jobs ADD COLUMN let_go TEXT; -- the gate that let it go, until it is claimed
ALTER TABLE lamp_jobs ADD COLUMN place INTEGER; -- where it stands before the gate, or stood
ALTER TABLE lamp_jobs ADD COLUMN counted_out INTEGER; -- the fence under which a claim counted that it starts
ALTER TABLE lamp_jobs ADD COLUMN drops INTEGER; -- 1: of a queue in which the oldest make room for the new
ALTER TABLE lamp_held ADD COLUMN limits TEXT;
ALTER TABLE lamp_ended ADD COLUMN limits TEXT;

CREATE INDEX lamp_jobs_line ON lamp_jobs (queue, priority, coalesce(tenant, ''), run_at, id)
WHERE state = 'queued' AND gate IS NULL;
CREATE INDEX lamp_jobs_parked ON lamp_jobs (gate, queue, priority DESC, place, run_at, id)
WHERE state = 'queued' AND gate IS NOT NULL;
CREATE INDEX lamp_jobs_places ON lamp_jobs (gate, queue, priority, coalesce(tenant, ''), place)
WHERE state = 'queued' AND gate IS NOT NULL;
CREATE INDEX lamp_jobs_oldest ON lamp_jobs (queue, id) WHERE drops = 1 AND state <> 'running';
CREATE INDEX lamp_jobs_oldest_of_tenant ON lamp_jobs (queue, coalesce(tenant, ''), id)
WHERE drops = 1 AND state <> 'running';

-- waiting: its jobs that are scheduled or queued; queued: those in line; has_jobs: whether there are any, apart, because
-- of that the index depends. tag: who has the lowest is next; NULL: nothing is remembered, for no job stood in the line
-- since that was last forgotten.
CREATE TABLE lamp_lines (
    queue    TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    priority INTEGER NOT NULL,
    waiting  INTEGER NOT NULL,
    queued   INTEGER NOT NULL,
    has_jobs INTEGER NOT NULL DEFAULT 0,
    tag      INTEGER,
    PRIMARY KEY (queue, tenant, priority)
) WITHOUT ROWID;

CREATE INDEX lamp_lines_next ON lamp_lines (queue, priority DESC, tag, tenant) WHERE has_jobs = 1;

-- The highest tag that was served.
CREATE TABLE lamp_classes (
    queue    TEXT NOT NULL,
    priority INTEGER NOT NULL,
    served   INTEGER NOT NULL,
    PRIMARY KEY (queue, priority)
) WITHOUT ROWID;

-- What is known of the keys of limits: the fields of `core.flow_control.Gate`.
CREATE TABLE lamp_gates (
    key      TEXT PRIMARY KEY,
    running  INTEGER NOT NULL DEFAULT 0,
    tat      INTEGER NOT NULL DEFAULT 0,
    until    INTEGER NOT NULL DEFAULT 0,
    openings INTEGER NOT NULL DEFAULT 0,
    probing  INTEGER NOT NULL DEFAULT 0,
    held     INTEGER NOT NULL DEFAULT 0,
    oks      INTEGER NOT NULL DEFAULT 0,
    bads     INTEGER NOT NULL DEFAULT 0,
    since    INTEGER NOT NULL DEFAULT 0,
    told     INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX lamp_gates_untold ON lamp_gates (key) WHERE (held OR openings > 0) <> told;

-- The jobs of one queue before one gate: n of them. let_go: how many were let go and not claimed yet.
CREATE TABLE lamp_waits (
    gate    TEXT NOT NULL,
    queue   TEXT NOT NULL,
    n       INTEGER NOT NULL DEFAULT 0,
    let_go  INTEGER NOT NULL DEFAULT 0,
    served  INTEGER NOT NULL DEFAULT 0,
    look_at INTEGER,
    PRIMARY KEY (gate, queue)
) WITHOUT ROWID;

CREATE INDEX lamp_waits_look ON lamp_waits (look_at) WHERE look_at IS NOT NULL;

INSERT INTO lamp_lines (queue, tenant, priority, waiting, queued, has_jobs, tag)
SELECT queue, coalesce(tenant, ''), priority, count(*), sum(state = 'queued'), max(state = 'queued'),
       iif(max(state = 'queued'), 0, NULL)
FROM lamp_jobs WHERE state <> 'running' GROUP BY 1, 2, 3;

-- One trigger for all that an update means to counts and lines: each that is considered costs, even if it does nothing.
-- A claim that writes a new `counted_out` counts by itself what it takes out of lines and lets through gates.
DROP TRIGGER lamp_jobs_added;
DROP TRIGGER lamp_jobs_moved;
DROP TRIGGER lamp_jobs_gone;

CREATE TRIGGER lamp_jobs_added AFTER INSERT ON lamp_jobs BEGIN
    INSERT INTO lamp_counts VALUES (new.queue, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
    INSERT INTO lamp_lines (queue, tenant, priority, waiting, queued)
    VALUES (new.queue, coalesce(new.tenant, ''), new.priority, new.state <> 'running', new.state = 'queued')
    ON CONFLICT DO UPDATE SET waiting = waiting + excluded.waiting, queued = queued + excluded.queued;
    UPDATE lamp_lines SET has_jobs = 1, tag = coalesce(tag, 0)
    WHERE queue = new.queue AND tenant = coalesce(new.tenant, '') AND priority = new.priority AND queued > 0 AND has_jobs = 0;
END;

CREATE TRIGGER lamp_jobs_moved AFTER UPDATE OF state, priority, gate ON lamp_jobs
WHEN old.state <> new.state OR old.priority <> new.priority OR old.gate IS NOT new.gate BEGIN
    UPDATE lamp_counts SET n = n - 1 WHERE queue = old.queue AND state = old.state;
    INSERT INTO lamp_counts VALUES (new.queue, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
    UPDATE lamp_lines SET waiting = waiting - 1, queued = queued - (old.state = 'queued' AND old.gate IS NULL)
    WHERE old.state <> 'running' AND old.counted_out IS new.counted_out
      AND queue = old.queue AND tenant = coalesce(old.tenant, '') AND priority = old.priority;
    UPDATE lamp_lines SET has_jobs = 0
    WHERE old.state = 'queued' AND old.counted_out IS new.counted_out
      AND queue = old.queue AND tenant = coalesce(old.tenant, '') AND priority = old.priority AND queued = 0;
    INSERT INTO lamp_lines (queue, tenant, priority, waiting, queued)
    SELECT new.queue, coalesce(new.tenant, ''), new.priority, 1, new.state = 'queued' AND new.gate IS NULL
    WHERE new.state <> 'running'
    ON CONFLICT DO UPDATE SET waiting = waiting + 1, queued = queued + excluded.queued;
    UPDATE lamp_lines SET has_jobs = 1, tag = coalesce(tag, 0)
    WHERE new.state = 'queued' AND queue = new.queue AND tenant = coalesce(new.tenant, '') AND priority = new.priority
      AND queued > 0 AND has_jobs = 0;
END;

CREATE TRIGGER lamp_jobs_gone AFTER DELETE ON lamp_jobs BEGIN
    UPDATE lamp_counts SET n = n - 1 WHERE queue = old.queue AND state = old.state;
    UPDATE lamp_lines SET waiting = waiting - 1, queued = queued - (old.state = 'queued' AND old.gate IS NULL)
    WHERE old.state <> 'running' AND queue = old.queue AND tenant = coalesce(old.tenant, '') AND priority = old.priority;
    UPDATE lamp_lines SET has_jobs = 0
    WHERE old.state = 'queued' AND queue = old.queue AND tenant = coalesce(old.tenant, '') AND priority = old.priority
      AND queued = 0;
END;

-- A queued job that waits has a gate, one that was let go remembers which: never both. Where nobody waits any more,
-- nothing is remembered but how many were let go.
CREATE TRIGGER lamp_jobs_limited_moved AFTER UPDATE OF state, gate, let_go ON lamp_jobs
WHEN new.limits IS NOT NULL AND (old.state <> new.state OR old.gate IS NOT new.gate OR old.let_go IS NOT new.let_go) BEGIN
    INSERT INTO lamp_gates (key, running) SELECT value, 1 FROM json_each(new.limits)
    WHERE new.state = 'running' AND old.state <> 'running' AND old.counted_out IS new.counted_out
    ON CONFLICT DO UPDATE SET running = running + 1;
    INSERT INTO lamp_gates (key) SELECT value FROM json_each(old.limits)
    WHERE old.state = 'running' AND new.state <> 'running'
    ON CONFLICT DO UPDATE SET running = max(0, running - 1);
    UPDATE lamp_waits SET n = n - (old.gate IS NOT NULL), let_go = let_go - (old.gate IS NULL)
    WHERE old.state = 'queued' AND gate = coalesce(old.gate, old.let_go) AND queue = old.queue;
    INSERT INTO lamp_waits (gate, queue, n, let_go, look_at)
    SELECT coalesce(new.gate, new.let_go), new.queue, new.gate IS NOT NULL, new.gate IS NULL, iif(new.gate IS NULL, NULL, 0)
    WHERE new.state = 'queued' AND coalesce(new.gate, new.let_go) IS NOT NULL
    ON CONFLICT DO UPDATE
    SET n = n + excluded.n, let_go = let_go + excluded.let_go, look_at = coalesce(look_at, excluded.look_at);
    UPDATE lamp_waits SET served = 0, look_at = NULL
    WHERE old.state = 'queued' AND gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0;
    DELETE FROM lamp_waits
    WHERE old.state = 'queued' AND gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0 AND let_go = 0;
END;

CREATE TRIGGER lamp_jobs_limited_gone AFTER DELETE ON lamp_jobs WHEN old.limits IS NOT NULL BEGIN
    INSERT INTO lamp_gates (key) SELECT value FROM json_each(old.limits) WHERE old.state = 'running'
    ON CONFLICT DO UPDATE SET running = max(0, running - 1);
    UPDATE lamp_waits SET n = n - (old.gate IS NOT NULL), let_go = let_go - (old.gate IS NULL)
    WHERE old.state = 'queued' AND gate = coalesce(old.gate, old.let_go) AND queue = old.queue;
    UPDATE lamp_waits SET served = 0, look_at = NULL
    WHERE old.state = 'queued' AND gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0;
    DELETE FROM lamp_waits
    WHERE old.state = 'queued' AND gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0 AND let_go = 0;
END;

-- Workers of before know nothing of limits. They write a job among the ended ones, or back, before they delete it where
-- it was: so there is always a row that knows.
CREATE TRIGGER lamp_ended_limits_of_older_workers AFTER INSERT ON lamp_ended WHEN new.limits IS NULL BEGIN
    UPDATE lamp_ended SET limits = (SELECT limits FROM lamp_jobs WHERE id = new.id)
    WHERE id = new.id AND EXISTS (SELECT 1 FROM lamp_jobs WHERE id = new.id AND limits IS NOT NULL);
END;

CREATE TRIGGER lamp_jobs_limits_of_older_workers AFTER INSERT ON lamp_jobs WHEN new.limits IS NULL BEGIN
    UPDATE lamp_jobs SET limits = (SELECT limits FROM lamp_ended WHERE id = new.id)
    WHERE id = new.id AND EXISTS (SELECT 1 FROM lamp_ended WHERE id = new.id AND limits IS NOT NULL);
END;
