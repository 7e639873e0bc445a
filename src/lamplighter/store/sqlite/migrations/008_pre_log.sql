-- What jobs log, a row for each line, as long as the job is kept. Triggers forget it, so that workers of before do so too.

CREATE TABLE lamp_log (
    job     TEXT NOT NULL,
    fence   INTEGER NOT NULL,
    n       INTEGER NOT NULL, -- the how many-th line of that attempt it is
    at      INTEGER NOT NULL,
    level   TEXT NOT NULL,
    message TEXT NOT NULL,
    fields  TEXT NOT NULL,
    PRIMARY KEY (job, fence, n)
) WITHOUT ROWID;

CREATE TRIGGER lamp_jobs_log_forgotten AFTER DELETE ON lamp_jobs
WHEN EXISTS (SELECT 1 FROM lamp_log WHERE job = old.id) AND NOT EXISTS (SELECT 1 FROM lamp_ended WHERE id = old.id) BEGIN
    DELETE FROM lamp_log WHERE job = old.id;
END;

-- (One that is retried is among the live or the held ones already when it leaves the ended ones.)
CREATE TRIGGER lamp_ended_log_forgotten AFTER DELETE ON lamp_ended
WHEN EXISTS (SELECT 1 FROM lamp_log WHERE job = old.id) AND NOT EXISTS (SELECT 1 FROM lamp_jobs WHERE id = old.id)
 AND NOT EXISTS (SELECT 1 FROM lamp_held WHERE id = old.id) BEGIN
    DELETE FROM lamp_log WHERE job = old.id;
END;
