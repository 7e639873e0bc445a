-- Every worker that is left writes until when a key is held: nothing has to fill that in for it.

DROP TRIGGER IF EXISTS lamp_jobs_of_older_workers;
DROP TRIGGER IF EXISTS lamp_ended_of_older_workers;
