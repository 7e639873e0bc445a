"""A million queued jobs, a million ended ones and a large future, made within seconds.

The queue SHARED is of thousands of tenants, LIMITED of jobs with limits, and all of STUCK wait before shut gates.
"""

from __future__ import annotations

from tests.store.postgres.behind import Behind

from lamplighter.core.clock import to_us
from lamplighter.testing.conformance._make import NOW

QUEUED, SCHEDULED, RUNNING, ENDED = 1_000_000, 200_000, 10_000, 1_000_000
CHILDREN = 100_000  # of the ended ones: those of the one job that is held
PARENT = "l-parent"
QUEUES = 20
SHARED, LIMITED, STUCK = "q-7", "q-8", "q-9"

# Triggers are off: the counts are written as what they would have come to. Ids rise with time, as real ones do. The
# server believes that the tables are empty, as it does soon after many jobs came at once.
_LOAD = f"""
SET session_replication_role = replica;
SET maintenance_work_mem = '256MB';
ALTER TABLE SCHEMA.jobs SET (autovacuum_enabled = off);
ALTER TABLE SCHEMA.ended SET (autovacuum_enabled = off);
ALTER TABLE SCHEMA.keys SET (autovacuum_enabled = off);
ALTER TABLE SCHEMA.failures SET (autovacuum_enabled = off);
ANALYZE SCHEMA.jobs, SCHEMA.ended, SCHEMA.keys, SCHEMA.failures;
CREATE TEMPORARY TABLE dropped AS
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'SCHEMA' AND indexname !~ '_pkey$' AND tablename IN ('jobs', 'ended');
DO $$ BEGIN
    EXECUTE (SELECT string_agg(format('DROP INDEX SCHEMA.%I', indexname), ';') FROM dropped);
END $$;
INSERT INTO SCHEMA.ended (id, queue, name, state, priority, run_at, created_at, args, fence, failures, crashes, worker,
                          started_at, ended_at, keep_until, result, child_of, tenant)
SELECT 'e-' || lpad(n::text, 8, '0'), 'q-' || n % {QUEUES}, 'send',
       CASE WHEN n % 1001 = 0 THEN 'failed' ELSE 'done' END, 0, NOW - n, NOW - n, '{{}}', 1, 0, 0, 'w-1', NOW - n,
       NOW - n, NOW + n * 1000000::bigint, 'null',
       CASE WHEN n > {ENDED - CHILDREN} THEN '{PARENT}' END, 't-' || n % 50
FROM generate_series(1, {ENDED}) AS n;
INSERT INTO SCHEMA.jobs (id, queue, name, state, priority, run_at, created_at, args, worker, started_at, lease_until,
                         unique_key, unique_mode, tenant, limits, waits_on, place)
SELECT 'l-' || lpad(n::text, 8, '0'), 'q-' || n % {QUEUES}, 'send', s.state, (n % 3) * 10,
       CASE s.state WHEN 'scheduled' THEN NOW + n * 1000000::bigint ELSE NOW - n END, NOW,
       '{{}}', CASE s.state WHEN 'running' THEN 'w-1' END,
       CASE s.state WHEN 'running' THEN NOW END, CASE s.state WHEN 'running' THEN NOW + n * 1000000::bigint END,
       CASE WHEN n % 10 = 0 THEN 'key-' || n END, CASE WHEN n % 10 = 0 THEN 'active' END,
       CASE q.queue WHEN '{SHARED}' THEN 't-' || n / {QUEUES} % 5000 END,
       CASE q.queue WHEN '{LIMITED}' THEN ARRAY['loose:' || n / {QUEUES} % 1000, 'paced:' || n / {QUEUES} % 1000]
                    WHEN '{STUCK}' THEN ARRAY['shut:' || n / {QUEUES} % 30000] END,
       CASE WHEN q.queue = '{STUCK}' AND s.state = 'queued' THEN 'shut:' || n / {QUEUES} % 30000 END,
       CASE WHEN q.queue = '{STUCK}' AND s.state = 'queued' THEN 0 END
FROM generate_series(1, {RUNNING + SCHEDULED + QUEUED}) AS n,
     LATERAL (SELECT CASE WHEN n <= {RUNNING} THEN 'running' WHEN n <= {RUNNING + SCHEDULED} THEN 'scheduled'
                     ELSE 'queued' END AS state) AS s,
     LATERAL (SELECT 'q-' || n % {QUEUES} AS queue) AS q;
INSERT INTO SCHEMA.jobs (id, queue, name, state, priority, run_at, created_at, args)
VALUES ('{PARENT}', 'q-1', 'report', 'held', 0, NOW, NOW, '{{}}');
INSERT INTO SCHEMA.groups (id, total, on_failure, added, done)
VALUES ('{PARENT}', 1000000, 'continue', {CHILDREN}, {CHILDREN});
INSERT INTO SCHEMA.keys (key, job) SELECT unique_key, id FROM SCHEMA.jobs WHERE unique_key IS NOT NULL;
INSERT INTO SCHEMA.failures (job, fence, at, kind, error, message, traceback)
SELECT 'e-' || lpad(n::text, 8, '0'), 1, NOW, 'error', 'OSError', 'no answer', '' FROM generate_series(1, 200000) AS n;
DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT indexdef FROM dropped LOOP
        EXECUTE one;
    END LOOP;
END $$;
INSERT INTO SCHEMA.counts SELECT queue, state, count(*) FROM SCHEMA.jobs GROUP BY queue, state;
INSERT INTO SCHEMA.counts SELECT queue, state, count(*) FROM SCHEMA.ended GROUP BY queue, state;
INSERT INTO SCHEMA.waiting SELECT queue, coalesce(tenant, ''), priority, state, coalesce(waits_on, ''), count(*)
FROM SCHEMA.jobs WHERE state IN ('scheduled', 'queued') GROUP BY 1, 2, 3, 4, 5;
INSERT INTO SCHEMA.lines SELECT DISTINCT queue, priority, coalesce(tenant, ''), 0, true FROM SCHEMA.jobs
WHERE state = 'queued' AND waits_on IS NULL;
INSERT INTO SCHEMA.classes (queue, priority) SELECT DISTINCT queue, priority FROM SCHEMA.lines;
INSERT INTO SCHEMA.rules
SELECT u.name, u.running, u.every, 1000000, NULL, 10, 60000000, 30000000, 600000000
FROM (VALUES ('shut', 0, NULL), ('loose', 1000000, NULL), ('paced', NULL, 1)) AS u (name, running, every);
INSERT INTO SCHEMA.waits (key, queue, look_at)
SELECT DISTINCT waits_on, queue, NOW + 2000000000000000::bigint FROM SCHEMA.jobs WHERE waits_on IS NOT NULL;
INSERT INTO SCHEMA.gates (key, running)
SELECT key, 1 FROM SCHEMA.waits UNION ALL SELECT 'loose:' || n, 1 FROM generate_series(0, 999) AS n;
DROP TABLE dropped;
SET session_replication_role = origin;
"""


async def gather_a_crowd(behind: Behind) -> None:
    """Fill the tables of the schema, which must be empty."""
    await behind.connection.execute(_LOAD.replace("SCHEMA", behind.schema).replace("NOW", str(to_us(NOW))))
