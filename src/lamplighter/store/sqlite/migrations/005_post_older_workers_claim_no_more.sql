-- Only workers of before read a queue in the order of this index: now its lines are read, each in its own.

DROP INDEX IF EXISTS lamp_jobs_queued;
