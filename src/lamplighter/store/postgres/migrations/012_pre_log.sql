-- What jobs log, a row for each line, as long as the job is kept. Triggers forget it, so that workers of before do so too.

CREATE TABLE log_lines (
    job     text COLLATE "C" NOT NULL,
    fence   bigint NOT NULL,
    n       bigint NOT NULL, -- the how many-th line of that attempt it is
    at      bigint NOT NULL,
    level   text NOT NULL,
    message text NOT NULL,
    fields  text NOT NULL,
    PRIMARY KEY (job, fence, n)
);

-- Keep what attempts log that are still their worker's, and of each of their jobs the last lines. They are locked in the
-- order in which `finish` locks, so that the two never wait for each other.
-- A line: job, fence, n, at, level, message, fields.
CREATE FUNCTION log(lines jsonb, keep integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    mine text[];
BEGIN
    SELECT array_agg(j.id) INTO mine FROM (
        SELECT DISTINCT (l ->> 0) COLLATE "C" AS id, (l ->> 1)::bigint AS fence
        FROM jsonb_array_elements(lines) AS e (l) ORDER BY 1
    ) AS l CROSS JOIN LATERAL (
        SELECT j.id FROM jobs AS j WHERE j.id = l.id AND j.fence = l.fence AND j.state = 'running' FOR SHARE
    ) AS j;
    IF mine IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO log_lines (job, fence, n, at, level, message, fields)
    SELECT j.id, j.fence, (l ->> 2)::bigint, (l ->> 3)::bigint, l ->> 4, l ->> 5, l ->> 6
    FROM jsonb_array_elements(lines) AS e (l) JOIN jobs AS j ON j.id = l ->> 0 AND j.fence = (l ->> 1)::bigint
    WHERE j.id = ANY (mine)
    ON CONFLICT DO NOTHING;
    DELETE FROM log_lines AS l USING unnest(mine) AS m (id)
    WHERE l.job = m.id AND (l.fence, l.n) <= (
        SELECT o.fence, o.n FROM log_lines AS o WHERE o.job = m.id ORDER BY o.fence DESC, o.n DESC LIMIT 1 OFFSET keep);
END $$;

-- One that ends, or is retried, is in the other table by the end of the statement that takes it out of the one.
CREATE FUNCTION forget_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM log_lines) THEN
        DELETE FROM log_lines AS l USING gone AS g
        WHERE l.job = g.id AND NOT EXISTS (SELECT FROM jobs AS j WHERE j.id = g.id)
          AND NOT EXISTS (SELECT FROM ended AS e WHERE e.id = g.id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER jobs_log_forgotten AFTER DELETE ON jobs REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION forget_log();
CREATE TRIGGER ended_log_forgotten AFTER DELETE ON ended REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION forget_log();

SELECT go_by_indexes('log(jsonb, integer)'), go_by_indexes('forget_log()');
