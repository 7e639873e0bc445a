-- How long a key is held stands with its job too: who moves or shows the job must know.
-- A job of before has only its key's row to tell, and that is gone once its period is over.

ALTER TABLE lamp_jobs ADD COLUMN unique_until INTEGER;
ALTER TABLE lamp_ended ADD COLUMN unique_until INTEGER;

UPDATE lamp_jobs SET unique_until = (SELECT until FROM lamp_keys WHERE key = unique_key AND job = id)
WHERE unique_mode = 'period';
UPDATE lamp_ended SET unique_until = (SELECT until FROM lamp_keys WHERE key = unique_key AND job = id)
WHERE unique_mode = 'period';

-- Workers of before leave the new column empty. They take a key before they add its job, and write a job among the
-- ended ones, or back, before they delete it where it was: so there is always a row that knows.
CREATE TRIGGER lamp_jobs_of_older_workers AFTER INSERT ON lamp_jobs
WHEN new.unique_mode = 'period' AND new.unique_until IS NULL BEGIN
    UPDATE lamp_jobs SET unique_until = coalesce(
        (SELECT unique_until FROM lamp_ended WHERE id = new.id),
        (SELECT until FROM lamp_keys WHERE key = new.unique_key AND job = new.id))
    WHERE id = new.id;
END;

CREATE TRIGGER lamp_ended_of_older_workers AFTER INSERT ON lamp_ended
WHEN new.unique_mode = 'period' AND new.unique_until IS NULL BEGIN
    UPDATE lamp_ended SET unique_until = (SELECT unique_until FROM lamp_jobs WHERE id = new.id) WHERE id = new.id;
END;
