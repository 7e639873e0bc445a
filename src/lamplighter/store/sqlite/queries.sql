-- Every statement of the SQLite store, each named with one sentence. Batches go in and come out as one JSON value:
-- a statement that returns row by row hands Python's lock to and fro for each of them.

-- :known Which of these jobs there are already, live or ended.
SELECT json_group_array(value) FROM json_each(:ids)
WHERE EXISTS (SELECT 1 FROM lamp_jobs WHERE id = value) OR EXISTS (SELECT 1 FROM lamp_ended WHERE id = value)
   OR EXISTS (SELECT 1 FROM lamp_held WHERE id = value);

-- :take_keys Give keys to jobs, one after the other, where they are free, over, or held by the job's parent, who hands them on.
INSERT INTO lamp_keys (key, job, until)
SELECT json_extract(value, '$[1]'), json_extract(value, '$[0]'), json_extract(value, '$[2]') FROM json_each(:rows) WHERE true
ON CONFLICT (key) DO UPDATE SET job = excluded.job, until = excluded.until
WHERE lamp_keys.until <= :now OR lamp_keys.job = json_extract(:parents, '$."' || excluded.job || '"');

-- :other_holders Which of these jobs do not hold their key, each with the job that does.
SELECT json_group_array(json_array(json_extract(b.value, '$[0]'), k.job))
FROM json_each(:rows) b CROSS JOIN lamp_keys k ON k.key = json_extract(b.value, '$[1]')
WHERE k.job <> json_extract(b.value, '$[0]');

-- :replaceable Which of these jobs (id, holder, name) replace the one that holds their key, each with that one.
SELECT json_group_array(json_array(json_extract(b.value, '$[0]'), j.id))
FROM json_each(:rows) b CROSS JOIN lamp_jobs j ON j.id = json_extract(b.value, '$[1]')
WHERE j.name = json_extract(b.value, '$[2]') AND j.state IN ('scheduled', 'queued');

-- :replace Give waiting jobs (id, args, priority, run_at, longest after their creation) what others brought.
UPDATE lamp_jobs
SET args = b.args, priority = b.priority, gate = NULL, let_go = NULL, place = NULL,
    run_at = min(b.run_at, coalesce(created_at + b.longest, b.run_at)),
    state = iif(min(b.run_at, coalesce(created_at + b.longest, b.run_at)) <= :now, 'queued', 'scheduled')
FROM (
    SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS args,
           json_extract(value, '$[2]') AS priority, json_extract(value, '$[3]') AS run_at,
           json_extract(value, '$[4]') AS longest
    FROM json_each(:rows)
) AS b
WHERE lamp_jobs.id = b.id;

-- :let_go_keys Let go the keys of jobs, but for those that outlive them.
DELETE FROM lamp_keys WHERE until IS NULL AND (key, job) IN (
    SELECT json_extract(value, '$[1]'), json_extract(value, '$[0]') FROM json_each(:rows));

-- :add Add jobs; an id that is known already stays as it is.
INSERT INTO lamp_jobs (id, queue, name, tenant, priority, run_at, args, unique_key, unique_mode, unique_until,
                       failures, crashes, limits, child_of, drops, state, created_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
       json_extract(value, '$[9]'), json_extract(value, '$[10]'), json_extract(value, '$[11]'),
       json_extract(value, '$[13]'), json_extract(value, '$[14]'),
       iif(:dropping = '[]', NULL, json_extract(value, '$[1]') IN (SELECT value FROM json_each(:dropping))),
       iif(json_extract(value, '$[5]') <= :now, 'queued', 'scheduled'), coalesce(json_extract(value, '$[12]'), :now)
FROM json_each(:rows)
WHERE NOT EXISTS (SELECT 1 FROM lamp_ended e WHERE e.id = json_extract(value, '$[0]'))
  AND NOT EXISTS (SELECT 1 FROM lamp_held h WHERE h.id = json_extract(value, '$[0]'))
ON CONFLICT (id) DO NOTHING;

-- :hold Add jobs that are held, none of which is known.
INSERT INTO lamp_held (id, queue, name, tenant, priority, run_at, args, unique_key, unique_mode, unique_until, failures,
                       crashes, limits, child_of, created_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
       json_extract(value, '$[9]'), json_extract(value, '$[10]'), json_extract(value, '$[11]'),
       json_extract(value, '$[13]'), json_extract(value, '$[14]'), coalesce(json_extract(value, '$[12]'), :now)
FROM json_each(:rows);

-- :begin_groups Begin to count the children of jobs (id, total, on_failure).
INSERT OR REPLACE INTO lamp_groups (id, total, on_failure)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:rows);

-- :tally Add to the counts of groups (id, added, done, failed, cancelled) that are still known.
UPDATE lamp_groups
SET added = added + b.more_added, done = done + b.more_done, failed = failed + b.more_failed,
    cancelled = cancelled + b.more_cancelled
FROM (
    SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS more_added,
           json_extract(value, '$[2]') AS more_done, json_extract(value, '$[3]') AS more_failed,
           json_extract(value, '$[4]') AS more_cancelled
    FROM json_each(:rows)
) AS b
WHERE lamp_groups.id = b.id;

-- :forget_groups Count no longer what became of the children of jobs that are forgotten.
DELETE FROM lamp_groups WHERE id IN (SELECT value FROM json_each(:ids));

-- :still_held Which of these jobs are held.
SELECT json_group_array(value) FROM json_each(:ids) WHERE EXISTS (SELECT 1 FROM lamp_held WHERE id = value);

-- :any_settled Whether a held job need not wait for its children any longer.
SELECT EXISTS (SELECT 1 FROM lamp_groups WHERE settled = 1);

-- :settled Held jobs that need not wait any longer, the oldest first, and whether they must fail.
SELECT json_group_array(json_array(g.id, g.on_failure = 'fail' AND g.failed + g.cancelled > 0, h.run_at, h.fence,
                                   h.unique_key, h.child_of))
FROM (
    SELECT * FROM lamp_groups WHERE settled = 1 ORDER BY id LIMIT max(:limit, 0)
) AS g CROSS JOIN lamp_held h ON h.id = g.id;

-- :oldest_lost_child The oldest child of a job that failed or was cancelled.
SELECT coalesce((
    SELECT json_array(id, state, keep_until) FROM lamp_ended
    WHERE child_of = :group AND child_of IS NOT NULL AND state IN ('failed', 'cancelled') ORDER BY id LIMIT 1), '[]');

-- :release Put held jobs among those that wait: for their time, or in line from now on.
INSERT INTO lamp_jobs (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, failures, crashes,
                       unique_key, unique_mode, unique_until, limits, child_of, drops)
SELECT id, queue, name, tenant, iif(run_at <= :now, 'queued', 'scheduled'), priority, max(run_at, :now), created_at, args,
       fence, failures, crashes, unique_key, unique_mode, unique_until, limits, child_of,
       (SELECT iif(json_valid(value), json_extract(value, '$.drop'), NULL) FROM lamp_records
        WHERE kind = 'queue' AND name = queue)
FROM lamp_held WHERE id IN (SELECT value FROM json_each(:ids));

-- :hold_no_longer Take jobs out of the held ones.
DELETE FROM lamp_held WHERE id IN (SELECT value FROM json_each(:ids));

-- :hold_again Put ended jobs that have children back among the held ones, with a clean slate.
INSERT INTO lamp_held (id, queue, name, tenant, priority, run_at, created_at, args, fence, unique_key, unique_mode,
                       unique_until, limits, child_of)
SELECT id, queue, name, tenant, priority, :now, created_at, args, fence, unique_key, unique_mode, unique_until, limits,
       child_of
FROM lamp_ended WHERE id IN (SELECT value FROM json_each(:ids));

-- :start Give queued jobs to a worker under a new fence.
UPDATE lamp_jobs
SET state = 'running', fence = fence + 1, worker = :worker, started_at = :now, lease_until = :lease_until,
    progress = NULL, let_go = NULL, place = NULL, counted_out = fence + 1
WHERE id IN (SELECT value FROM json_each(:ids));

-- :let_go_pending_keys Let go the keys that jobs hold only while they wait.
DELETE FROM lamp_keys WHERE (key, job) IN (
    SELECT unique_key, id FROM lamp_jobs
    WHERE id IN (SELECT value FROM json_each(:ids)) AND unique_mode = 'pending');

-- :held Which of these attempts, id and fence, are still their worker's.
SELECT json_group_array(json_array(j.id, j.fence, j.stopping, j.unique_key, j.unique_mode, j.child_of, j.queue,
                                   j.priority, coalesce(j.tenant, ''), j.started_at, json(j.limits)))
FROM json_each(:rows) a CROSS JOIN lamp_jobs j ON j.id = json_extract(a.value, '$[0]')
WHERE j.fence = json_extract(a.value, '$[1]') AND j.state = 'running';

-- :end Write live jobs among the ended ones.
INSERT INTO lamp_ended (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, failures, crashes,
                        unique_key, unique_mode, unique_until, limits, child_of, worker, started_at, ended_at,
                        keep_until, result, reason)
SELECT j.id, j.queue, j.name, j.tenant, json_extract(e.value, '$[1]'), j.priority, j.run_at, j.created_at, j.args,
       j.fence, j.failures + json_extract(e.value, '$[2]'), j.crashes + json_extract(e.value, '$[3]'), j.unique_key,
       j.unique_mode, j.unique_until, j.limits, j.child_of, j.worker, j.started_at, :now,
       json_extract(e.value, '$[4]'), json_extract(e.value, '$[5]'), json_extract(e.value, '$[6]')
FROM json_each(:rows) e CROSS JOIN lamp_jobs j ON j.id = json_extract(e.value, '$[0]');

-- :remove Take jobs out of the live ones.
DELETE FROM lamp_jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- :return Send running jobs back to wait.
UPDATE lamp_jobs
SET state = b.state, run_at = coalesce(b.run_at, lamp_jobs.run_at), failures = failures + b.failed,
    crashes = crashes + b.crashed, worker = NULL, started_at = NULL, lease_until = NULL, progress = NULL, gate = NULL
FROM (
    SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS state,
           json_extract(value, '$[2]') AS run_at, json_extract(value, '$[3]') AS failed,
           json_extract(value, '$[4]') AS crashed
    FROM json_each(:rows)
) AS b
WHERE lamp_jobs.id = b.id;

-- :note_failures Record why attempts failed.
INSERT OR REPLACE INTO lamp_failures (job, fence, at, kind, error, message, traceback)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]')
FROM json_each(:rows);

-- :trim_failures Keep only the last failures of each of these jobs.
DELETE FROM lamp_failures
WHERE job IN (SELECT value FROM json_each(:ids))
  AND fence <= (SELECT fence FROM lamp_failures f WHERE f.job = lamp_failures.job ORDER BY fence DESC LIMIT 1 OFFSET :most);

-- :forget_failures Delete the failures of jobs that are forgotten.
DELETE FROM lamp_failures WHERE job IN (SELECT value FROM json_each(:ids));

-- :log Keep lines (job, fence, n, at, level, message, fields) of attempts that are still their worker's.
INSERT OR IGNORE INTO lamp_log (job, fence, n, at, level, message, fields)
SELECT j.id, j.fence, json_extract(b.value, '$[2]'), json_extract(b.value, '$[3]'), json_extract(b.value, '$[4]'),
       json_extract(b.value, '$[5]'), json_extract(b.value, '$[6]')
FROM json_each(:rows) b CROSS JOIN lamp_jobs j ON j.id = json_extract(b.value, '$[0]')
WHERE j.fence = json_extract(b.value, '$[1]') AND j.state = 'running';

-- :trim_log Keep only the last lines of each of these jobs.
DELETE FROM lamp_log
WHERE job IN (SELECT value FROM json_each(:ids)) AND (fence, n) <= (
    SELECT l.fence, l.n FROM lamp_log l WHERE l.job = lamp_log.job ORDER BY l.fence DESC, l.n DESC LIMIT 1 OFFSET :keep);

-- :logs Lines that a job logged after that place, the oldest first.
SELECT fence, n, at, level, message, fields FROM lamp_log
WHERE job = :job AND (fence, n) > (:fence, :n) ORDER BY fence, n LIMIT max(:limit, 0);

-- :last_logs The last lines that a job logged, the newest first.
SELECT fence, n, at, level, message, fields FROM lamp_log
WHERE job = :job ORDER BY fence DESC, n DESC LIMIT max(:limit, 0);

-- :failures Why attempts of a job failed, oldest first.
SELECT fence, at, kind, error, message, traceback FROM lamp_failures WHERE job = ? ORDER BY fence;

-- :beat Renew leases, shortening none, and store progress where it came.
UPDATE lamp_jobs SET lease_until = max(lease_until, :lease_until), progress = coalesce(b.progress, lamp_jobs.progress)
FROM (
    SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS fence, json_extract(value, '$[2]') AS progress
    FROM json_each(:rows)
) AS b
WHERE lamp_jobs.id = b.id AND lamp_jobs.fence = b.fence AND lamp_jobs.state = 'running';

-- :next_due When the earliest scheduled job comes due.
SELECT min(run_at) FROM lamp_jobs WHERE state = 'scheduled';

-- :next_expiry When the earliest lease of a running job runs out.
SELECT min(lease_until) FROM lamp_jobs WHERE state = 'running';

-- :come_due Queue scheduled jobs whose time has come, the earliest first.
UPDATE lamp_jobs SET state = 'queued' WHERE id IN (
    SELECT id FROM lamp_jobs WHERE state = 'scheduled' AND run_at <= :now ORDER BY run_at, id LIMIT max(:limit, 0));

-- :abandoned Running jobs whose lease ran out.
SELECT json_group_array(json_array(id, fence, stopping, unique_key, unique_mode, child_of, queue, priority,
                                   coalesce(tenant, ''), started_at, json(limits), worker)) FROM (
    SELECT * FROM lamp_jobs
    WHERE state = 'running' AND lease_until <= :now ORDER BY lease_until, id LIMIT max(:limit, 0));

-- :ask_to_stop Mark running jobs that an operator wants stopped; their workers learn it with the next beat.
UPDATE lamp_jobs SET stopping = 1 WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'running';

-- :queue_now Queue scheduled jobs before their time, with a clean slate.
UPDATE lamp_jobs SET state = 'queued', run_at = :now, failures = 0, crashes = 0
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'scheduled';

-- :revive Put ended jobs back among the live ones, with a clean slate; the fence never goes back.
INSERT INTO lamp_jobs (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, unique_key, unique_mode,
                       unique_until, limits, child_of, drops)
SELECT id, queue, name, tenant, 'queued', priority, :now, created_at, args, fence, unique_key, unique_mode, unique_until,
       limits, child_of, (SELECT iif(json_valid(value), json_extract(value, '$.drop'), NULL) FROM lamp_records
                          WHERE kind = 'queue' AND name = queue)
FROM lamp_ended WHERE id IN (SELECT value FROM json_each(:ids));

-- :forget Delete ended jobs.
DELETE FROM lamp_ended WHERE id IN (SELECT value FROM json_each(:ids));

-- :spared Which of these jobs are children of live ones.
SELECT json_group_array(e.id) FROM json_each(:ids) b CROSS JOIN lamp_ended e ON e.id = b.value
WHERE EXISTS (SELECT 1 FROM lamp_jobs j WHERE j.id = e.child_of)
   OR EXISTS (SELECT 1 FROM lamp_held h WHERE h.id = e.child_of);

-- :expired Ended jobs that were kept long enough, but for the children of live ones.
SELECT id FROM lamp_ended AS e
WHERE keep_until <= :now
  AND (e.child_of IS NULL
      OR NOT EXISTS (SELECT 1 FROM lamp_jobs j WHERE j.id = e.child_of)
         AND NOT EXISTS (SELECT 1 FROM lamp_held h WHERE h.id = e.child_of))
ORDER BY keep_until, id LIMIT max(:limit, 0);

-- :crowded Queues that hold more ended jobs of a state than they should.
SELECT queue, state, n - iif(state = 'done', :done, :failed) FROM lamp_counts
WHERE state IN ('done', 'failed', 'cancelled') AND n > iif(state = 'done', :done, :failed);

-- :oldest_ended The oldest ended jobs of a queue and state, but for the children of live ones.
SELECT id FROM (
    SELECT id, child_of FROM lamp_ended WHERE queue = :queue AND state = :state ORDER BY id LIMIT max(:excess, 0)) AS e
WHERE (e.child_of IS NULL
      OR NOT EXISTS (SELECT 1 FROM lamp_jobs j WHERE j.id = e.child_of)
         AND NOT EXISTS (SELECT 1 FROM lamp_held h WHERE h.id = e.child_of))
LIMIT max(:limit, 0);

-- :forget_counts Forget queues that hold no jobs, or a queue for each tenant that ever was would slow every claim.
DELETE FROM lamp_counts WHERE n = 0;

-- :expire_keys Delete keys whose period is over.
DELETE FROM lamp_keys WHERE until <= :now;

-- :expire_records Delete records nobody renewed.
DELETE FROM lamp_records WHERE expires_at <= :now;

-- :live_view What people see of a live job. (The store adds the filters.)
SELECT id, name, queue, tenant, state, priority, run_at, created_at, args, fence, failures, crashes,
       json_array(unique_key, unique_mode, unique_until), limits, gate, worker, started_at, lease_until, stopping, progress,
       NULL AS ended_at, NULL AS keep_until, NULL AS result, NULL AS reason, child_of,
       (SELECT json_object('total', total, 'on_failure', on_failure, 'added', added, 'done', done, 'failed', failed,
                           'cancelled', cancelled) FROM lamp_groups g WHERE g.id = lamp_jobs.id)
FROM lamp_jobs;

-- :held_view What people see of a job that is held.
SELECT id, name, queue, tenant, 'held', priority, run_at, created_at, args, fence, failures, crashes,
       json_array(unique_key, unique_mode, unique_until), limits, NULL AS gate, NULL AS worker, NULL AS started_at,
       NULL AS lease_until, 0 AS stopping, NULL AS progress, NULL AS ended_at, NULL AS keep_until, NULL AS result,
       NULL AS reason, child_of,
       (SELECT json_object('total', total, 'on_failure', on_failure, 'added', added, 'done', done, 'failed', failed,
                           'cancelled', cancelled) FROM lamp_groups g WHERE g.id = lamp_held.id)
FROM lamp_held;

-- :ended_view What people see of an ended job.
SELECT id, name, queue, tenant, state, priority, run_at, created_at, args, fence, failures, crashes,
       json_array(unique_key, unique_mode, unique_until), limits, NULL AS gate, worker, started_at,
       NULL AS lease_until, 0 AS stopping, NULL AS progress, ended_at, keep_until, result, reason, child_of,
       (SELECT json_object('total', total, 'on_failure', on_failure, 'added', added, 'done', done, 'failed', failed,
                           'cancelled', cancelled) FROM lamp_groups g WHERE g.id = lamp_ended.id)
FROM lamp_ended;

-- :ended_after How jobs ended that did so after a place, in order.
SELECT id, name, queue, tenant, state, fence, run_at, created_at, started_at, ended_at FROM lamp_ended
WHERE (ended_at, id) > (:ended_at, :id) ORDER BY ended_at, id LIMIT max(:limit, 0);

-- :live_arguments What live jobs were given. (The store adds the filters.)
SELECT id, args FROM lamp_jobs;

-- :held_arguments What jobs that are held were given.
SELECT id, args FROM lamp_held;

-- :ended_arguments What ended jobs were given.
SELECT id, args FROM lamp_ended;

-- :counts How many jobs each queue has in each state.
SELECT queue, state, n FROM lamp_counts;

-- :filled Which queues hold how many jobs in which states.
SELECT queue, state, n FROM lamp_counts
WHERE n > 0 AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
      AND state IN (SELECT value FROM json_each(:states));

-- :paused Which queues are paused.
SELECT name FROM lamp_queues WHERE paused = 1;

-- :pause Pause a queue or let it go on.
INSERT INTO lamp_queues (name, paused) VALUES (:queue, :paused) ON CONFLICT (name) DO UPDATE SET paused = excluded.paused;

-- :record The value of a record.
SELECT value FROM lamp_records WHERE kind = ? AND name = ?;

-- :put Write a record over the one of its kind and name.
INSERT OR REPLACE INTO lamp_records (kind, name, value, expires_at) VALUES (?, ?, ?, ?);

-- :drop Delete a record.
DELETE FROM lamp_records WHERE kind = ? AND name = ?;

-- :records The records of a kind that are still good.
SELECT kind, name, value, expires_at FROM lamp_records
WHERE kind = ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY name;
