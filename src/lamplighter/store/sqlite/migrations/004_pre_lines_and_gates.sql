-- Flow control: queued jobs stand in lines, one for each tenant of a queue and priority, or wait before gates.
-- Triggers keep every count. So statements cannot forget to, nor can workers of before: those share no queue among
-- tenants and obey no limits, but what they start and end is counted.

ALTER TABLE lamp_jobs ADD COLUMN limits TEXT; -- the keys of its limits, a JSON array; NULL: none
ALTER TABLE lamp_jobs ADD COLUMN gate TEXT; -- the key that a queued job waits for; NULL: it stands in its line
ALTER TABLE lamp_jobs ADD COLUMN let_go TEXT; -- the gate that let it go, until it is claimed
ALTER TABLE lamp_jobs ADD COLUMN place INTEGER; -- where it stands before the gate, or stood
ALTER TABLE lamp_jobs ADD COLUMN drops INTEGER; -- 1: of a queue in which the oldest make room for the new
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

-- waiting: its jobs that are scheduled or queued; queued: those in line. tag: who has the lowest is next; NULL: nothing
-- is remembered, for no job stood in the line since that was last forgotten.
CREATE TABLE lamp_lines (
    queue    TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    priority INTEGER NOT NULL,
    waiting  INTEGER NOT NULL,
    queued   INTEGER NOT NULL,
    tag      INTEGER,
    PRIMARY KEY (queue, tenant, priority)
) WITHOUT ROWID;

CREATE INDEX lamp_lines_next ON lamp_lines (queue, priority DESC, tag, tenant) WHERE queued > 0;

-- The highest tag that was served.
CREATE TABLE lamp_classes (
    queue    TEXT NOT NULL,
    priority INTEGER NOT NULL,
    served   INTEGER NOT NULL,
    PRIMARY KEY (queue, priority)
) WITHOUT ROWID;

-- What is known of the keys of limits: the fields of `core.flow.Gate`.
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

INSERT INTO lamp_lines (queue, tenant, priority, waiting, queued, tag)
SELECT queue, coalesce(tenant, ''), priority, count(*), sum(state = 'queued'), iif(sum(state = 'queued') > 0, 0, NULL)
FROM lamp_jobs WHERE state <> 'running' GROUP BY 1, 2, 3;

CREATE TRIGGER lamp_lines_joined AFTER INSERT ON lamp_jobs WHEN new.state <> 'running' BEGIN
    INSERT INTO lamp_lines VALUES (new.queue, coalesce(new.tenant, ''), new.priority, 1, new.state = 'queued',
                                   iif(new.state = 'queued', 0, NULL))
    ON CONFLICT DO UPDATE SET waiting = waiting + 1, queued = queued + excluded.queued, tag = coalesce(tag, excluded.tag);
END;

CREATE TRIGGER lamp_lines_entered AFTER UPDATE OF state, priority, gate ON lamp_jobs
WHEN new.state <> 'running' AND (old.state <> new.state OR old.priority <> new.priority OR old.gate IS NOT new.gate) BEGIN
    INSERT INTO lamp_lines VALUES (new.queue, coalesce(new.tenant, ''), new.priority, 1,
                                   new.state = 'queued' AND new.gate IS NULL,
                                   iif(new.state = 'queued' AND new.gate IS NULL, 0, NULL))
    ON CONFLICT DO UPDATE SET waiting = waiting + 1, queued = queued + excluded.queued, tag = coalesce(tag, excluded.tag);
END;

CREATE TRIGGER lamp_lines_left AFTER UPDATE OF state, priority, gate ON lamp_jobs
WHEN old.state <> 'running' AND (old.state <> new.state OR old.priority <> new.priority OR old.gate IS NOT new.gate) BEGIN
    UPDATE lamp_lines SET waiting = waiting - 1, queued = queued - (old.state = 'queued' AND old.gate IS NULL)
    WHERE queue = old.queue AND tenant = coalesce(old.tenant, '') AND priority = old.priority;
END;

CREATE TRIGGER lamp_lines_left_for_good AFTER DELETE ON lamp_jobs WHEN old.state <> 'running' BEGIN
    UPDATE lamp_lines SET waiting = waiting - 1, queued = queued - (old.state = 'queued' AND old.gate IS NULL)
    WHERE queue = old.queue AND tenant = coalesce(old.tenant, '') AND priority = old.priority;
END;

CREATE TRIGGER lamp_gates_passed AFTER UPDATE OF state ON lamp_jobs
WHEN new.limits IS NOT NULL AND new.state = 'running' AND old.state <> 'running' BEGIN
    INSERT INTO lamp_gates (key, running) SELECT value, 1 FROM json_each(new.limits) WHERE true
    ON CONFLICT DO UPDATE SET running = running + 1;
END;

CREATE TRIGGER lamp_gates_freed AFTER UPDATE OF state ON lamp_jobs
WHEN old.limits IS NOT NULL AND old.state = 'running' AND new.state <> 'running' BEGIN
    INSERT INTO lamp_gates (key) SELECT value FROM json_each(old.limits) WHERE true
    ON CONFLICT DO UPDATE SET running = max(0, running - 1);
END;

CREATE TRIGGER lamp_gates_freed_for_good AFTER DELETE ON lamp_jobs
WHEN old.limits IS NOT NULL AND old.state = 'running' BEGIN
    INSERT INTO lamp_gates (key) SELECT value FROM json_each(old.limits) WHERE true
    ON CONFLICT DO UPDATE SET running = max(0, running - 1);
END;

-- A job that waits has a gate, one that was let go remembers which: never both. Where nobody waits any more, nothing is
-- remembered but who was let go.
CREATE TRIGGER lamp_waits_moved AFTER UPDATE OF state, gate, let_go ON lamp_jobs
WHEN old.gate IS NOT new.gate OR old.let_go IS NOT new.let_go
  OR (old.state <> new.state AND coalesce(old.gate, old.let_go) IS NOT NULL) BEGIN
    UPDATE lamp_waits SET n = n - (old.gate IS NOT NULL), let_go = let_go - (old.gate IS NULL)
    WHERE gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND old.state = 'queued';
    INSERT INTO lamp_waits (gate, queue, n, let_go, look_at)
    SELECT coalesce(new.gate, new.let_go), new.queue, new.gate IS NOT NULL, new.gate IS NULL, iif(new.gate IS NULL, NULL, 0)
    WHERE new.state = 'queued' AND coalesce(new.gate, new.let_go) IS NOT NULL
    ON CONFLICT DO UPDATE
    SET n = n + excluded.n, let_go = let_go + excluded.let_go, look_at = coalesce(look_at, excluded.look_at);
    UPDATE lamp_waits SET served = 0, look_at = NULL
    WHERE gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0;
    DELETE FROM lamp_waits WHERE gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0 AND let_go = 0;
END;

CREATE TRIGGER lamp_waits_left_for_good AFTER DELETE ON lamp_jobs
WHEN old.state = 'queued' AND coalesce(old.gate, old.let_go) IS NOT NULL BEGIN
    UPDATE lamp_waits SET n = n - (old.gate IS NOT NULL), let_go = let_go - (old.gate IS NULL)
    WHERE gate = coalesce(old.gate, old.let_go) AND queue = old.queue;
    UPDATE lamp_waits SET served = 0, look_at = NULL
    WHERE gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0;
    DELETE FROM lamp_waits WHERE gate = coalesce(old.gate, old.let_go) AND queue = old.queue AND n = 0 AND let_go = 0;
END;
