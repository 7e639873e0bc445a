-- A file as schema version 1 made it: jobs in every state, keys of every mode, failures, records, a pause.
-- It is pinned: files like it are in the field. Never change it; the tests bring it forward.
BEGIN TRANSACTION;
CREATE TABLE lamp_counts (
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) WITHOUT ROWID;
INSERT INTO "lamp_counts" VALUES('files','queued',1);
INSERT INTO "lamp_counts" VALUES('files','running',1);
INSERT INTO "lamp_counts" VALUES('mail','cancelled',1);
INSERT INTO "lamp_counts" VALUES('mail','done',3);
INSERT INTO "lamp_counts" VALUES('mail','failed',1);
INSERT INTO "lamp_counts" VALUES('mail','queued',4);
INSERT INTO "lamp_counts" VALUES('mail','running',4);
INSERT INTO "lamp_counts" VALUES('mail','scheduled',4);
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
INSERT INTO "lamp_ended" VALUES('01b8e094-9b2e-7000-bca9-d37952e6b438','mail','done',NULL,'done',0,1893553445678901,1893553445678901,'{}',1,0,0,NULL,NULL,'w-1',1893553445678901,1893553445678901,NULL,'"sent"',NULL);
INSERT INTO "lamp_ended" VALUES('01b8e094-9b2e-7001-9944-c9c3269e0d37','mail','done_period',NULL,'done',0,1893553445678901,1893553445678901,'{}',1,0,0,'order:1','period','w-1',1893553445678901,1893553445678901,1893639845678901,NULL,NULL);
INSERT INTO "lamp_ended" VALUES('01b8e094-9b2e-7003-b48f-c209128b2f33','mail','done_active',NULL,'done',0,1893553445678901,1893553445678901,'{}',1,0,0,'file:1','active','w-1',1893553445678901,1893553445678901,NULL,NULL,NULL);
INSERT INTO "lamp_ended" VALUES('01b8e094-9b2e-7004-8606-3a04892f902b','mail','failed','t-1','failed',0,1893553445678901,1893553445678901,'{}',2,2,0,NULL,NULL,'w-1',1893553445678901,1893553445678901,1893639845678901,NULL,'gave up');
INSERT INTO "lamp_ended" VALUES('01b8e094-9b2e-7005-a54c-66175d9dc9f8','mail','cancelled',NULL,'cancelled',0,1893553445678901,1893553445678901,'{}',0,0,0,NULL,NULL,NULL,NULL,1893553445678901,1893639845678901,NULL,'cancelled');
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
INSERT INTO "lamp_failures" VALUES('01b8e094-9b2e-7004-8606-3a04892f902b',1,1893553445678901,'error','OSError','first','Traceback: …');
INSERT INTO "lamp_failures" VALUES('01b8e094-9b2e-7004-8606-3a04892f902b',2,1893553445678901,'error','OSError','second','Traceback: …');
INSERT INTO "lamp_failures" VALUES('01b8e094-9b2e-700a-8f67-05c911e20b8f',1,1893553445678901,'error','OSError','no answer','Traceback: …');
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
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7006-ba38-97650ed90475','files','running_active',NULL,'running',0,1893553445678901,1893553445678901,'{}',1,0,0,'file:2','active','w-1',1893553445678901,1893553475678901,0,'{"done":3}');
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7007-8dbd-9d7381e74ef5','mail','running_pending',NULL,'running',0,1893553445678901,1893553445678901,'{}',1,0,0,'report:1','pending','w-1',1893553445678901,1893553475678901,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7008-8580-28d6099950d8','mail','running_period',NULL,'running',0,1893553445678901,1893553445678901,'{}',1,0,0,'order:2','period','w-1',1893553445678901,1893553475678901,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7009-9ac3-55266f03675a','mail','running_stopping',NULL,'running',0,1893553445678901,1893553445678901,'{}',1,0,0,NULL,NULL,'w-1',1893553445678901,1893553475678901,1,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-700a-8f67-05c911e20b8f','mail','retried','t-2','scheduled',0,1893553565678901,1893553445678901,'{}',1,1,0,'report:2','pending',NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-700b-a344-5bb31738f7d9','mail','running',NULL,'running',0,1893553445678901,1893553445678901,'{}',1,0,0,NULL,NULL,'w-1',1893553445678901,1893553475678901,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-700c-83c8-776d6cad4a26','mail','scheduled',NULL,'scheduled',0,1893553505678901,1893553445678901,'{"to":"Ada ö"}',0,0,0,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-700d-a430-64b3d3ac94af','mail','scheduled_period',NULL,'scheduled',0,1893553505678901,1893553445678901,'{}',0,0,0,'order:3','period',NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-700e-bca3-04171fb17c23','mail','scheduled_active',NULL,'scheduled',0,1893553505678901,1893553445678901,'{}',0,0,0,'file:3','active',NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-700f-a85c-2cce39263059','mail','queued',NULL,'queued',10,1893553445678901,1893553445678901,'{}',0,0,0,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7010-a54f-d23ca09f76b5','mail','queued_pending',NULL,'queued',0,1893553445678901,1893553445678901,'{}',0,0,0,'report:3','pending',NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7011-83f5-8c3cf29d0da9','mail','queued_active',NULL,'queued',0,1893553445678901,1893553445678901,'{}',0,0,0,'file:4','active',NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7012-a579-82bd93bd04cf','files','queued_period',NULL,'queued',0,1893553445678901,1893553445678901,'{}',0,0,0,'order:4','period',NULL,NULL,NULL,0,NULL);
INSERT INTO "lamp_jobs" VALUES('01b8e094-9b2e-7013-832c-78a7658cda14','mail','queued_period_over',NULL,'queued',0,1893553445678901,1893553445678901,'{}',0,0,0,'order:5','period',NULL,NULL,NULL,0,NULL);
CREATE TABLE lamp_keys (
    key   TEXT PRIMARY KEY,
    job   TEXT NOT NULL,
    until INTEGER
) WITHOUT ROWID;
INSERT INTO "lamp_keys" VALUES('file:2','01b8e094-9b2e-7006-ba38-97650ed90475',NULL);
INSERT INTO "lamp_keys" VALUES('file:3','01b8e094-9b2e-700e-bca3-04171fb17c23',NULL);
INSERT INTO "lamp_keys" VALUES('file:4','01b8e094-9b2e-7011-83f5-8c3cf29d0da9',NULL);
INSERT INTO "lamp_keys" VALUES('order:0','01b8e094-9b2e-7002-8317-1ff4a6a3a450',1893557045678901);
INSERT INTO "lamp_keys" VALUES('order:1','01b8e094-9b2e-7001-9944-c9c3269e0d37',1893557045678901);
INSERT INTO "lamp_keys" VALUES('order:2','01b8e094-9b2e-7008-8580-28d6099950d8',1893557045678901);
INSERT INTO "lamp_keys" VALUES('order:3','01b8e094-9b2e-700d-a430-64b3d3ac94af',1893557045678901);
INSERT INTO "lamp_keys" VALUES('order:4','01b8e094-9b2e-7012-a579-82bd93bd04cf',1893557045678901);
INSERT INTO "lamp_keys" VALUES('order:5','01b8e094-9b2e-7013-832c-78a7658cda14',1893553446678901);
INSERT INTO "lamp_keys" VALUES('report:2','01b8e094-9b2e-700a-8f67-05c911e20b8f',NULL);
INSERT INTO "lamp_keys" VALUES('report:3','01b8e094-9b2e-7010-a54f-d23ca09f76b5',NULL);
CREATE TABLE lamp_queues (
    name   TEXT PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO "lamp_queues" VALUES('files',1);
CREATE TABLE lamp_records (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
INSERT INTO "lamp_records" VALUES('cron','nightly','{"schedule":"0 3 * * *"}',1896145445678901);
INSERT INTO "lamp_records" VALUES('worker','w-1','{}',NULL);
CREATE TABLE lamp_schema (version INTEGER NOT NULL);
INSERT INTO "lamp_schema" VALUES(1);
CREATE INDEX lamp_jobs_queued ON lamp_jobs (queue, priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX lamp_jobs_scheduled ON lamp_jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX lamp_jobs_running ON lamp_jobs (lease_until) WHERE state = 'running';
CREATE INDEX lamp_ended_by_queue ON lamp_ended (queue, state, id);
CREATE INDEX lamp_ended_expiry ON lamp_ended (keep_until) WHERE keep_until IS NOT NULL;
CREATE INDEX lamp_keys_expiry ON lamp_keys (until) WHERE until IS NOT NULL;
CREATE INDEX lamp_records_expiry ON lamp_records (expires_at) WHERE expires_at IS NOT NULL;
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
COMMIT;
