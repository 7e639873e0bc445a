-- Every worker that is left reads lines, each in its own index, and carries a job's limits along.

DROP INDEX IF EXISTS lamp_jobs_queued;
DROP TRIGGER IF EXISTS lamp_ended_limits_of_older_workers;
DROP TRIGGER IF EXISTS lamp_jobs_limits_of_older_workers;
