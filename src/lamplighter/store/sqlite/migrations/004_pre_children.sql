-- Jobs that are held until their children have ended, and how far those are.
-- They stand in a table of their own: nothing that claims or sweeps jobs has to pass over them.

ALTER TABLE lamp_jobs ADD COLUMN child_of TEXT;
ALTER TABLE lamp_ended ADD COLUMN child_of TEXT;

CREATE TABLE lamp_held (
    id           TEXT PRIMARY KEY,
    queue        TEXT NOT NULL,
    name         TEXT NOT NULL,
    tenant       TEXT,
    priority     INTEGER NOT NULL,
    run_at       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    args         TEXT NOT NULL,
    fence        INTEGER NOT NULL DEFAULT 0,
    failures     INTEGER NOT NULL DEFAULT 0,
    crashes      INTEGER NOT NULL DEFAULT 0,
    unique_key   TEXT,
    unique_mode  TEXT,
    unique_until INTEGER,
    child_of     TEXT
) WITHOUT ROWID;

-- A row for each job that has children, as long as that is known, whether it is held or not.
CREATE TABLE lamp_groups (
    id         TEXT PRIMARY KEY,
    total      INTEGER NOT NULL,
    on_failure TEXT NOT NULL,
    held       INTEGER NOT NULL DEFAULT 0,
    added      INTEGER NOT NULL DEFAULT 0,
    done       INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    cancelled  INTEGER NOT NULL DEFAULT 0,
    settled    INTEGER GENERATED ALWAYS AS ( -- it is held, and need not wait any longer
        held AND (done + failed + cancelled >= total OR on_failure = 'fail' AND failed + cancelled > 0))
) WITHOUT ROWID;

CREATE INDEX lamp_groups_settled ON lamp_groups (id) WHERE settled = 1;

CREATE INDEX lamp_jobs_children ON lamp_jobs (child_of, id) WHERE child_of IS NOT NULL;
CREATE INDEX lamp_held_children ON lamp_held (child_of, id) WHERE child_of IS NOT NULL;
CREATE INDEX lamp_ended_children ON lamp_ended (child_of, id) WHERE child_of IS NOT NULL;
CREATE INDEX lamp_ended_lost ON lamp_ended (child_of, id) WHERE child_of IS NOT NULL AND state IN ('failed', 'cancelled');

CREATE TRIGGER lamp_held_added AFTER INSERT ON lamp_held BEGIN
    UPDATE lamp_groups SET held = 1 WHERE id = new.id;
    INSERT INTO lamp_counts VALUES (new.queue, 'held', 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER lamp_held_gone AFTER DELETE ON lamp_held BEGIN
    UPDATE lamp_groups SET held = 0 WHERE id = old.id;
    UPDATE lamp_counts SET n = n - 1 WHERE queue = old.queue AND state = 'held';
END;
