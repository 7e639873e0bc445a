-- The statements of flow control: who is claimed next, which gates let a job through, and who waits before them.

-- :rules The texts of the rules of a kind, of those names.
SELECT json_group_array(json_array(n.value, r.value))
FROM json_each(:names) n CROSS JOIN lamp_records r ON r.kind = :kind AND r.name = n.value;

-- :any_to_look_at Whether there is a gate to be looked at.
SELECT EXISTS (SELECT 1 FROM lamp_waits WHERE look_at <= :now);

-- :classes The queues and priorities, of these queues ([]: of all), that have jobs and are not paused: found by leaps.
WITH RECURSIVE
queue (name) AS (
    SELECT min(queue) FROM lamp_lines INDEXED BY lamp_lines_next WHERE has_jobs = 1
    UNION ALL
    SELECT (SELECT min(queue) FROM lamp_lines INDEXED BY lamp_lines_next WHERE has_jobs = 1 AND queue > name)
    FROM queue WHERE name IS NOT NULL
),
class (queue, priority) AS (
    SELECT name, (SELECT max(priority) FROM lamp_lines l WHERE l.has_jobs = 1 AND l.queue = name) FROM queue
    WHERE name IS NOT NULL AND (:queues = '[]' OR name IN (SELECT value FROM json_each(:queues)))
      AND NOT EXISTS (SELECT 1 FROM lamp_queues q WHERE q.name = queue.name AND q.paused = 1)
    UNION ALL
    SELECT queue, (SELECT max(priority) FROM lamp_lines l
                   WHERE l.has_jobs = 1 AND l.queue = class.queue AND l.priority < class.priority)
    FROM class WHERE priority IS NOT NULL
)
SELECT json_group_array(json_array(queue, priority)) FROM class WHERE priority IS NOT NULL;

-- :heads When the job is due that is next in each of these queues, with its id, for one priority. (A tenant with the
-- affinity of its column would not be looked for in the index of an expression: hence the plus.)
SELECT json_group_array(json_array(q.value, json((
    SELECT json_array(run_at, id) FROM lamp_jobs
    WHERE state = 'queued' AND gate IS NULL AND queue = q.value AND priority = :priority AND coalesce(tenant, '') = (
        SELECT +l.tenant FROM lamp_lines l WHERE l.has_jobs = 1 AND l.queue = q.value AND l.priority = :priority
        ORDER BY l.tag, l.tenant LIMIT 1)
    ORDER BY run_at, id LIMIT 1))))
FROM json_each(:queues) q;

-- :served The highest tag that was served of a queue and priority.
SELECT coalesce((SELECT served FROM lamp_classes WHERE queue = :queue AND priority = :priority), 0);

-- :lines The lines of a queue and priority that are next, with how many jobs they have.
SELECT json_group_array(json_array(tenant, tag, queued)) FROM (
    SELECT tenant, tag, queued FROM lamp_lines WHERE has_jobs = 1 AND queue = :queue AND priority = :priority
    ORDER BY tag, tenant LIMIT :most);

-- :first The first jobs of each of these tenants' lines, so many of each.
SELECT '[' || coalesce(group_concat((
    SELECT group_concat(job) FROM (
        SELECT json_array(id, fence + 1, name, queue, tenant, args, priority, run_at, created_at, failures, crashes,
                          unique_mode = 'pending', json(limits), let_go, place) AS job
        FROM lamp_jobs
        WHERE state = 'queued' AND gate IS NULL AND queue = :queue AND priority = :priority
          AND coalesce(tenant, '') = t.value
        ORDER BY run_at, id LIMIT :most))), '') || ']'
FROM json_each(:tenants) t;

-- :take_out Take n jobs out of the line of each of these tenants, and charge them, from no earlier than where the line's
-- queue and priority is.
UPDATE lamp_lines
SET tag = max(tag, :served) + :amount, waiting = waiting - :n, queued = queued - :n, has_jobs = queued > :n
WHERE queue = :queue AND priority = :priority AND tenant IN (SELECT value FROM json_each(:tenants));

-- :serve Remember the highest tag that was served of a queue and priority.
INSERT INTO lamp_classes (queue, priority, served) VALUES (:queue, :priority, :served)
ON CONFLICT DO UPDATE SET served = excluded.served;

-- :charge_time Charge lines (queue, tenant, priority, amount) that are remembered for how long jobs ran.
UPDATE lamp_lines SET tag = tag + b.amount
FROM (
    SELECT json_extract(value, '$[0]') AS queue, json_extract(value, '$[1]') AS tenant,
           json_extract(value, '$[2]') AS priority, json_extract(value, '$[3]') AS amount
    FROM json_each(:rows)
) AS b
WHERE lamp_lines.queue = b.queue AND lamp_lines.tenant = b.tenant AND lamp_lines.priority = b.priority;

-- :shares The lines of a queue that have jobs, who is next first.
SELECT queue, priority, tenant, queued, tag FROM lamp_lines WHERE has_jobs = 1 AND queue = :queue
ORDER BY priority DESC, tag, tenant LIMIT max(:limit, 0);

-- :gates What is known of the gates of these keys.
SELECT json_group_array(json_object(
    'key', g.key, 'running', running, 'tat', tat, 'until', until, 'openings', openings, 'probing', probing, 'held', held,
    'oks', oks, 'bads', bads, 'since', since, 'told', told))
FROM json_each(:keys) k CROSS JOIN lamp_gates g ON g.key = k.value;

-- :open_gates Which of these have a breaker that is not closed.
SELECT json_group_array(g.key) FROM json_each(:keys) k CROSS JOIN lamp_gates g ON g.key = k.value
WHERE g.held OR g.openings > 0;

-- :pass_gates Count how many jobs more run by keys: an object of numbers, which is taken apart quickly.
INSERT INTO lamp_gates (key, running) SELECT key, value FROM json_each(:passed) WHERE true
ON CONFLICT DO UPDATE SET running = running + excluded.running;

-- :pace_gates Write theoretical arrival times of gates, an object of them.
INSERT INTO lamp_gates (key, tat) SELECT key, value FROM json_each(:tats) WHERE true
ON CONFLICT DO UPDATE SET tat = excluded.tat;

-- :write_gates Write gates; how many jobs run is not for this to say.
INSERT INTO lamp_gates (key, tat, until, openings, probing, held, oks, bads, since, told)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),
       json_extract(value, '$[4]'), json_extract(value, '$[5]'), json_extract(value, '$[6]'), json_extract(value, '$[7]'),
       json_extract(value, '$[8]'), json_extract(value, '$[9]')
FROM json_each(:rows) WHERE true
ON CONFLICT DO UPDATE
SET tat = excluded.tat, until = excluded.until, openings = excluded.openings, probing = excluded.probing,
    held = excluded.held, oks = excluded.oks, bads = excluded.bads, since = excluded.since, told = excluded.told;

-- :untold The breakers that opened or closed since a sweep told of them.
SELECT json_group_array(key) FROM (SELECT key FROM lamp_gates WHERE (held OR openings > 0) <> told ORDER BY key);

-- :any_untold Whether there is one.
SELECT EXISTS (SELECT 1 FROM lamp_gates WHERE (held OR openings > 0) <> told);

-- :busy_gates The keys, in order, that are in use, not closed, or have jobs waiting.
SELECT key FROM lamp_gates WHERE running > 0 OR held OR openings > 0 OR until > :now
UNION SELECT gate FROM lamp_waits WHERE n > 0 ORDER BY 1 LIMIT max(:limit, 0);

-- :waiting How many jobs wait before each of these gates.
SELECT json_group_array(json_array(k.value, (SELECT sum(n) FROM lamp_waits WHERE gate = k.value))) FROM json_each(:keys) k;

-- :to_look_at Who waits before a gate, by queue, that is to be looked at: its key, the queue, how many it let go already
-- and the highest place that went.
SELECT json_group_array(json_array(gate, queue, let_go, served)) FROM lamp_waits WHERE look_at <= :now;

-- :next_look When a gate is to be looked at.
SELECT min(look_at) FROM lamp_waits WHERE look_at IS NOT NULL;

-- :first_before The first jobs of a queue before a gate.
SELECT json_group_array(json_array(id, place, tenant)) FROM (
    SELECT id, place, coalesce(tenant, '') AS tenant FROM lamp_jobs
    WHERE state = 'queued' AND gate = :gate AND queue = :queue
    ORDER BY priority DESC, place, run_at, id LIMIT :most);

-- :unpark Have jobs that wait before a gate stand in their line again.
UPDATE lamp_jobs SET let_go = gate, gate = NULL WHERE id IN (SELECT value FROM json_each(:ids));

-- :looked Note what was let go (gate, queue, the highest place that went) and when to look again, where jobs still wait.
UPDATE lamp_waits SET served = b.served, look_at = b.look_at
FROM (
    SELECT json_extract(value, '$[0]') AS gate, json_extract(value, '$[1]') AS queue,
           json_extract(value, '$[2]') AS served, json_extract(value, '$[3]') AS look_at
    FROM json_each(:rows)
) AS b
WHERE lamp_waits.gate = b.gate AND lamp_waits.queue = b.queue AND lamp_waits.n > 0;

-- :last_place The last place of a tenant's jobs that wait before a gate, and the highest that went.
SELECT (SELECT max(place) FROM lamp_jobs
        WHERE state = 'queued' AND gate = :gate AND queue = :queue AND priority = :priority
          AND coalesce(tenant, '') = :tenant),
       coalesce((SELECT served FROM lamp_waits WHERE gate = :gate AND queue = :queue), 0);

-- :park Have jobs (id, gate, place) wait before gates.
UPDATE lamp_jobs SET gate = b.gate, place = b.place, let_go = NULL
FROM (
    SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS gate, json_extract(value, '$[2]') AS place
    FROM json_each(:rows)
) AS b
WHERE lamp_jobs.id = b.id;

-- :parked Note when to look at gates (gate, queue, moment) before which jobs have come.
UPDATE lamp_waits SET look_at = b.look_at
FROM (
    SELECT json_extract(value, '$[0]') AS gate, json_extract(value, '$[1]') AS queue, json_extract(value, '$[2]') AS look_at
    FROM json_each(:rows)
) AS b
WHERE lamp_waits.gate = b.gate AND lamp_waits.queue = b.queue;

-- :look_at_once Look at these gates at once, if jobs wait there.
UPDATE lamp_waits SET look_at = 0 WHERE gate IN (SELECT value FROM json_each(:keys)) AND n > 0;

-- :look_at_limit Look at all gates of a limit at once: its keys are its name, or begin with that and a colon.
UPDATE lamp_waits SET look_at = 0 WHERE n > 0 AND (gate = :limit OR (gate > :limit || ':' AND gate < :limit || ';'));

-- :waiting_in How many jobs of a queue wait.
SELECT coalesce(sum(n), 0) FROM lamp_counts WHERE queue = :queue AND state IN ('scheduled', 'queued');

-- :waiting_of How many jobs of a queue's tenant wait.
SELECT coalesce(sum(waiting), 0) FROM lamp_lines WHERE queue = :queue AND tenant = :tenant;

-- :oldest_in The oldest jobs of a queue that wait.
SELECT json_group_array(json_array(id, fence, 0, unique_key, unique_mode, child_of)) FROM (
    SELECT id, fence, unique_key, unique_mode, child_of FROM lamp_jobs
    WHERE queue = :queue AND drops = 1 AND state <> 'running' ORDER BY id LIMIT :most);

-- :oldest_of The oldest jobs of a queue's tenant that wait.
SELECT json_group_array(json_array(id, fence, 0, unique_key, unique_mode, child_of)) FROM (
    SELECT id, fence, unique_key, unique_mode, child_of FROM lamp_jobs
    WHERE queue = :queue AND coalesce(tenant, '') = :tenant AND drops = 1 AND state <> 'running' ORDER BY id LIMIT :most);

-- :mark_drops Note at all jobs of a queue whether the oldest are dropped where it is full.
UPDATE lamp_jobs SET drops = :drops WHERE queue = :queue;

-- :reset_lines Remember nothing of lines in which nobody stands, if it makes no difference.
UPDATE lamp_lines SET tag = NULL WHERE (queue, tenant, priority) IN (
    SELECT l.queue, l.tenant, l.priority FROM lamp_lines l
    WHERE l.has_jobs = 0 AND l.tag IS NOT NULL AND (
        l.tag <= coalesce((SELECT served FROM lamp_classes c WHERE c.queue = l.queue AND c.priority = l.priority), 0)
        OR NOT EXISTS (
            SELECT 1 FROM lamp_lines o INDEXED BY lamp_lines_next
            WHERE o.has_jobs = 1 AND o.queue = l.queue AND o.priority = l.priority))
    LIMIT :most);

-- :forget_lines Forget lines of which nothing is remembered, and no job waits.
DELETE FROM lamp_lines WHERE tag IS NULL AND waiting = 0;

-- :forget_classes Begin anew where nothing is remembered of any line.
DELETE FROM lamp_classes WHERE NOT EXISTS (
    SELECT 1 FROM lamp_lines l
    WHERE l.queue = lamp_classes.queue AND l.priority = lamp_classes.priority AND l.tag IS NOT NULL);

-- :forget_gates Forget gates that are idle, and before which nobody waits: `core.flow_control.Gate.is_idle`.
DELETE FROM lamp_gates WHERE key IN (
    SELECT g.key FROM lamp_gates g LEFT JOIN lamp_records r ON r.kind = 'limit'
        AND r.name = substr(g.key, 1, coalesce(nullif(instr(g.key, ':'), 0) - 1, length(g.key)))
    WHERE g.running = 0 AND NOT g.held AND g.openings = 0 AND NOT g.told AND g.until <= :now AND g.tat <= :now
      AND (g.oks + g.bads = 0
           OR g.since + coalesce(iif(json_valid(r.value), json_extract(r.value, '$.within'), NULL), :within) <= :now)
      AND NOT EXISTS (SELECT 1 FROM lamp_waits w WHERE w.gate = g.key AND w.n > 0)
    LIMIT :most);

-- :oldest Since when the job is due that is first in line, of some of the lines of each of these queues. (The plus is as
-- in `heads`.)
SELECT json_group_array(json_array(q.value, (
    SELECT min((
        SELECT run_at FROM lamp_jobs
        WHERE state = 'queued' AND gate IS NULL AND queue = q.value AND priority = l.priority
          AND coalesce(tenant, '') = +l.tenant
        ORDER BY run_at, id LIMIT 1))
    FROM (
        SELECT priority, tenant FROM lamp_lines WHERE has_jobs = 1 AND queue = q.value
        ORDER BY priority DESC, tag, tenant LIMIT :most) l)))
FROM json_each(:queues) q;
