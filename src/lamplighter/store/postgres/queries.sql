-- The statements that are no functions of the schema, each named with one sentence. SCHEMA stands for its name, which
-- cannot be bound; it was checked when the URL was read.

-- :about Which database this is.
SELECT id FROM SCHEMA.about

-- :add Add jobs; gives those that another holds the key of, and whether that one has what they brought; or the
-- bound that they would break.
SELECT job, holder, replaced, no_room::text FROM SCHEMA.add($1::jsonb, $2::bigint, $3::uuid, $4::integer, $5::text)

-- :fold Put together what was counted.
SELECT SCHEMA.fold_counts(500)

-- :claim Take queued jobs for a worker.
SELECT * FROM SCHEMA.claim($1::text[], $2::integer, $3::text, $4::bigint, $5::bigint)

-- :finish Record how attempts ended; gives the ids that won.
SELECT SCHEMA.finish($1::jsonb, $2::bigint)

-- :beat Renew leases; gives the attempts that are still their worker's.
SELECT job, attempt, asked FROM SCHEMA.beat($1::jsonb, $2::bigint)

-- :sweep Do what time makes true.
SELECT due, rescued, next_at, failed, told::text FROM SCHEMA.sweep($1::integer, $2::bigint)

-- :cancel Cancel jobs that wait, and ask those that run to stop.
SELECT stopped, asked FROM SCHEMA.cancel($1::text[], $2::text[], $3::bigint, $4::bigint)

-- :retry Queue ended and scheduled jobs now.
SELECT SCHEMA.retry($1::text[], $2::text[], $3::bigint)

-- :prune Forget ended jobs, and what is over.
SELECT SCHEMA.prune($1::bigint, $2::bigint, $3::integer, $4::bigint)

-- :forget Forget ended jobs now.
SELECT SCHEMA.forget($1::text[], $2::text[])

-- :jobs What people see of a live job. (The store adds the filters.)
SELECT id, name, queue, tenant, state, priority, run_at, created_at, args, fence, failures, crashes, unique_key,
       unique_mode, unique_until, limits, waits_on, worker, started_at, lease_until, stopping, progress,
       NULL::bigint AS ended_at, NULL::bigint AS keep_until, NULL AS result, NULL AS reason, child_of
FROM SCHEMA.jobs

-- :ended What people see of an ended job.
SELECT id, name, queue, tenant, state, priority, run_at, created_at, args, fence, failures, crashes, unique_key,
       unique_mode, unique_until, limits, NULL AS waits_on, worker, started_at, NULL::bigint AS lease_until,
       false AS stopping, NULL AS progress, ended_at, keep_until, result, reason, child_of
FROM SCHEMA.ended

-- :with_children The same, with how far those are that a job is held for. (The store adds which jobs.)
SELECT page.*, CASE WHEN EXISTS (SELECT FROM SCHEMA.groups AS g WHERE g.id = page.id)
                    THEN SCHEMA.children_of(page.id) END AS children
FROM (NEWEST) AS page ORDER BY page.id DESC
-- :jobs_arguments What live jobs were given. (The store adds the filters.)
SELECT id, args FROM SCHEMA.jobs

-- :ended_arguments What ended jobs were given.
SELECT id, args FROM SCHEMA.ended

-- :ended_after How jobs ended that did so after a place, in order.
SELECT id, name, queue, tenant, state, fence, run_at, created_at, started_at, ended_at FROM SCHEMA.ended
WHERE ended_at >= $1::bigint AND (ended_at > $1::bigint OR id ~>~ $2::text)
ORDER BY ended_at, id USING ~<~ LIMIT $3::integer

-- :lines Which queues hold jobs in which states. (The store adds the filters.)
SELECT queue, state FROM SCHEMA.totals WHERE n > 0

-- :failures Why attempts of a job failed, oldest first.
SELECT fence, at, kind, error, message, traceback FROM SCHEMA.failures WHERE job = $1 ORDER BY fence

-- :log Keep what attempts log.
SELECT SCHEMA.log($1::jsonb, $2::integer)

-- :logs Lines that a job logged after that place, the oldest first.
SELECT fence, n, at, level, message, fields FROM SCHEMA.log_lines
WHERE job = $1 AND (fence, n) > ($2::bigint, $3::bigint) ORDER BY fence, n LIMIT $4::integer

-- :last_logs The last lines that a job logged, the newest first.
SELECT fence, n, at, level, message, fields FROM SCHEMA.log_lines
WHERE job = $1 ORDER BY fence DESC, n DESC LIMIT $2::integer

-- :totals How many jobs each queue has in each state; a paused queue without jobs too. With those that are queued: since when
-- the job is due that is first in line, of some of the lines, which are found by leaps.
SELECT coalesce(t.queue, p.queue) AS queue, t.state, t.n, p.queue IS NOT NULL AS paused,
       CASE WHEN t.state = 'queued' THEN (
           WITH RECURSIVE line AS (
               (SELECT coalesce(j.tenant, '') AS tenant, j.priority, j.run_at, 1 AS nth FROM SCHEMA.jobs AS j
                WHERE j.queue = t.queue AND j.state = 'queued' AND j.waits_on IS NULL
                ORDER BY coalesce(j.tenant, ''), j.priority, j.run_at, j.id LIMIT 1)
               UNION ALL
               SELECT n.tenant, n.priority, n.run_at, line.nth + 1 FROM line CROSS JOIN LATERAL (
                   SELECT coalesce(j.tenant, '') AS tenant, j.priority, j.run_at FROM SCHEMA.jobs AS j
                   WHERE j.queue = t.queue AND j.state = 'queued' AND j.waits_on IS NULL
                     AND (coalesce(j.tenant, ''), j.priority) > (line.tenant, line.priority)
                   ORDER BY coalesce(j.tenant, ''), j.priority, j.run_at, j.id LIMIT 1
               ) AS n WHERE line.nth < $1
           ) SELECT min(run_at) FROM line) END AS oldest
FROM SCHEMA.totals AS t FULL JOIN SCHEMA.paused AS p ON p.queue = t.queue

-- :pause Let nobody claim from a queue.
INSERT INTO SCHEMA.paused (queue) VALUES ($1) ON CONFLICT DO NOTHING

-- :resume Let a queue go on.
DELETE FROM SCHEMA.paused WHERE queue = $1

-- :put Write a record over the one of its kind and name.
INSERT INTO SCHEMA.records (kind, name, value, expires_at, rule) VALUES ($1, $2, $3, $4, $5::jsonb)
ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at, rule = excluded.rule

-- :drop Delete a record.
DELETE FROM SCHEMA.records WHERE kind = $1 AND name = $2

-- :records The records of a kind that are still good.
SELECT name, value, expires_at FROM SCHEMA.records
WHERE kind = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY name

-- :order Have gates do what an operator wants.
SELECT SCHEMA.order_gates($1::jsonb, $2::bigint)

-- :gates Gates with their rules and those who wait.
SELECT * FROM SCHEMA.gates_as_of($1::text[], $2::integer, $3::bigint)

-- :shares The lines of a queue's tenants.
SELECT queue, priority, tenant, queued, tag FROM SCHEMA.shares($1, $2::integer)

-- :time What the server's clock shows.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
