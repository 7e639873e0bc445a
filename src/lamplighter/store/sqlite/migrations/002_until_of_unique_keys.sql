-- How long a key is held stands with its job too: who moves or shows the job must know.
-- A job of before has only its key's row to tell, and that is gone once its period is over.

ALTER TABLE lamp_jobs ADD COLUMN unique_until INTEGER;
ALTER TABLE lamp_ended ADD COLUMN unique_until INTEGER;

UPDATE lamp_jobs SET unique_until = (SELECT until FROM lamp_keys WHERE key = unique_key AND job = id)
WHERE unique_mode = 'period';
UPDATE lamp_ended SET unique_until = (SELECT until FROM lamp_keys WHERE key = unique_key AND job = id)
WHERE unique_mode = 'period';
