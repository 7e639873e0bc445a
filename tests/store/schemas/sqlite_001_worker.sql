-- Statements of a worker of schema version 1, word for word. They are pinned: such workers run beside newer ones.

-- :known Which of these jobs there are already, live or ended.
SELECT json_group_array(value) FROM json_each(:ids)
WHERE EXISTS (SELECT 1 FROM lamp_jobs WHERE id = value) OR EXISTS (SELECT 1 FROM lamp_ended WHERE id = value);

-- :take_keys Give keys to jobs, one after the other, where they are free, over, or held by the parent, who hands them on.
INSERT INTO lamp_keys (key, job, until)
SELECT json_extract(value, '$[1]'), json_extract(value, '$[0]'), json_extract(value, '$[2]') FROM json_each(:rows) WHERE true
ON CONFLICT (key) DO UPDATE SET job = excluded.job, until = excluded.until
WHERE lamp_keys.until <= :now OR lamp_keys.job = :parent;

-- :let_go_keys Let go the keys of jobs, but for those that outlive them.
DELETE FROM lamp_keys WHERE until IS NULL AND (key, job) IN (
    SELECT json_extract(value, '$[1]'), json_extract(value, '$[0]') FROM json_each(:rows));

-- :add Add jobs; an id that is known already stays as it is.
INSERT INTO lamp_jobs (id, queue, name, tenant, priority, run_at, args, unique_key, unique_mode, state, created_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
       iif(json_extract(value, '$[5]') <= :now, 'queued', 'scheduled'), :now
FROM json_each(:rows)
WHERE NOT EXISTS (SELECT 1 FROM lamp_ended e WHERE e.id = json_extract(value, '$[0]'))
ON CONFLICT (id) DO NOTHING;

-- :queued The queued jobs of one queue. (The store merges several of these, in the order of their index.)
SELECT priority AS p, run_at AS r, id AS i, unique_mode = 'pending' AS k,
       json_array(id, fence + 1, name, queue, tenant, args, priority, run_at, created_at, failures, crashes) AS job
FROM lamp_jobs WHERE state = 'queued' AND queue = ?;

-- :start Give queued jobs to a worker under a new fence.
UPDATE lamp_jobs
SET state = 'running', fence = fence + 1, worker = :worker, started_at = :now, lease_until = :lease_until,
    progress = NULL
WHERE id IN (SELECT value FROM json_each(:ids));

-- :let_go_pending_keys Let go the keys that jobs hold only while they wait.
DELETE FROM lamp_keys WHERE (key, job) IN (
    SELECT unique_key, id FROM lamp_jobs
    WHERE id IN (SELECT value FROM json_each(:ids)) AND unique_mode = 'pending');

-- :held Which of these attempts, id and fence, are still their worker's.
SELECT json_group_array(json_array(j.id, j.fence, j.stopping, j.unique_key, j.unique_mode))
FROM json_each(:rows) a CROSS JOIN lamp_jobs j ON j.id = json_extract(a.value, '$[0]')
WHERE j.fence = json_extract(a.value, '$[1]') AND j.state = 'running';

-- :end Write live jobs among the ended ones.
INSERT INTO lamp_ended (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, failures, crashes,
                        unique_key, unique_mode, worker, started_at, ended_at, keep_until, result, reason)
SELECT j.id, j.queue, j.name, j.tenant, json_extract(e.value, '$[1]'), j.priority, j.run_at, j.created_at, j.args,
       j.fence, j.failures + json_extract(e.value, '$[2]'), j.crashes + json_extract(e.value, '$[3]'), j.unique_key,
       j.unique_mode, j.worker, j.started_at, :now, json_extract(e.value, '$[4]'), json_extract(e.value, '$[5]'),
       json_extract(e.value, '$[6]')
FROM json_each(:rows) e CROSS JOIN lamp_jobs j ON j.id = json_extract(e.value, '$[0]');

-- :remove Take jobs out of the live ones.
DELETE FROM lamp_jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- :revive Put ended jobs back among the live ones, with a clean slate; the fence never goes back.
INSERT INTO lamp_jobs (id, queue, name, tenant, state, priority, run_at, created_at, args, fence, unique_key, unique_mode)
SELECT id, queue, name, tenant, 'queued', priority, :now, created_at, args, fence, unique_key, unique_mode
FROM lamp_ended WHERE id IN (SELECT value FROM json_each(:ids));

-- :forget Delete ended jobs.
DELETE FROM lamp_ended WHERE id IN (SELECT value FROM json_each(:ids));
