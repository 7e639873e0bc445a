-- The gates of limits, with their rules and breakers, and who waits before them.

CREATE TABLE gates (
    key      text COLLATE "C" PRIMARY KEY,
    running  bigint NOT NULL DEFAULT 0,
    tat      bigint NOT NULL DEFAULT 0,
    until    bigint NOT NULL DEFAULT 0,
    openings integer NOT NULL DEFAULT 0,
    probing  boolean NOT NULL DEFAULT false,
    held     boolean NOT NULL DEFAULT false,
    oks      bigint NOT NULL DEFAULT 0,
    bads     bigint NOT NULL DEFAULT 0,
    since    bigint NOT NULL DEFAULT 0,
    told     boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);

CREATE INDEX gates_untold ON gates (key) WHERE told <> (held OR openings > 0);
CREATE INDEX gates_open ON gates (key) WHERE openings > 0;

-- The queues that have jobs before a gate. `served`: where who comes now of a tenant that has nobody there stands;
-- `look_at`: when to see whether some may go (0: at once; NULL: never).
CREATE TABLE waits (
    key     text COLLATE "C" NOT NULL,
    queue   text COLLATE "C" NOT NULL,
    served  bigint NOT NULL DEFAULT 0,
    look_at bigint,
    PRIMARY KEY (key, queue)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX waits_to_look_at ON waits (look_at) WHERE look_at IS NOT NULL;

-- What a limit allows at each of its keys, as its record has it, with what `GateRule` says where that says nothing.
CREATE TABLE rules (
    name      text COLLATE "C" PRIMARY KEY,
    running   bigint,
    every     bigint,
    tolerance bigint NOT NULL,
    percent   bigint,
    at_least  bigint NOT NULL,
    within    bigint NOT NULL,
    open_for  bigint NOT NULL,
    longest   bigint NOT NULL
);

CREATE FUNCTION rule_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_or_new records := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    DELETE FROM rules WHERE name = old_or_new.name;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO rules
        SELECT NEW.name, r.running, r.interval, coalesce(r.interval, 0) * (coalesce(r.burst, 1) - 1), r.percent,
               coalesce(r.at_least, 10), coalesce(r.within, 60000000), coalesce(r.open_for, 30000000),
               coalesce(r.longest, 600000000)
        FROM jsonb_to_record(coalesce(NEW.rule, '{}')) AS r (
            running bigint, interval bigint, burst bigint, percent bigint, at_least bigint, within bigint,
            open_for bigint, longest bigint);
    END IF;
    INSERT INTO gate_changes (key, verb) VALUES (old_or_new.name, 'rule');
    RETURN NULL;
END $$;

CREATE TRIGGER rule_written AFTER INSERT OR UPDATE ON records
    FOR EACH ROW WHEN (NEW.kind = 'limit') EXECUTE FUNCTION rule_changed();
CREATE TRIGGER rule_dropped AFTER DELETE ON records
    FOR EACH ROW WHEN (OLD.kind = 'limit') EXECUTE FUNCTION rule_changed();

-- The name of the limit that a key belongs to.
CREATE FUNCTION limit_of(key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT split_part(key, ':', 1) $$;

-- How many jobs a gate lets through now. No gate and no rule have let none through yet, and limit nothing.
CREATE FUNCTION free(g gates, r rules, now bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN g.held OR now < g.until THEN 0 ELSE greatest(0, least(
        2147483647, r.running - coalesce(g.running, 0),
        CASE WHEN r.every > 0 THEN CASE
            WHEN greatest(g.tat, now) - now > r.tolerance THEN 0
            ELSE (r.tolerance - greatest(g.tat, now) + now) / r.every + 1 END END,
        CASE WHEN g.openings > 0 THEN CASE WHEN g.probing THEN 0 ELSE 1 END END)) END
$$;

-- When time alone opens it; NULL where a job has to end first, or an operator to close the breaker.
CREATE FUNCTION opens_at(g gates, r rules) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN (g.running >= r.running OR g.held OR g.openings > 0 AND g.probing) IS NOT TRUE
                THEN greatest(coalesce(g.until, 0), coalesce(g.tat, 0) - coalesce(r.tolerance, 0)) END
$$;

-- A breaker that opens, for longer with each time in a row.
CREATE FUNCTION opened(g gates, r rules, now bigint) RETURNS gates LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    g.until := greatest(g.until, now + least(coalesce(r.longest, 600000000)::numeric,
                                             coalesce(r.open_for, 30000000)::numeric * 2 ^ least(g.openings, 30))::bigint);
    g.openings := g.openings + 1;
    g.probing := false;
    g.oks := 0;
    g.bads := 0;
    RETURN g;
END $$;

-- One that lets jobs through again.
CREATE FUNCTION closed(g gates, now bigint) RETURNS gates LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    g.openings := 0;
    g.probing := false;
    g.held := false;
    g.oks := 0;
    g.bads := 0;
    g.since := now;
    RETURN g;
END $$;

-- A gate at which so many attempts ended. Those that were sent before it opened decide nothing while it is open.
CREATE FUNCTION settled(g gates, r rules, c gate_changes) RETURNS gates LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    g.running := greatest(0, g.running - c.freed);
    IF g.openings > 0 THEN
        IF g.held OR c.at < g.until THEN
            RETURN g;
        ELSIF c.bads > 0 THEN
            RETURN opened(g, r, c.at);
        ELSIF c.oks > 0 THEN
            RETURN closed(g, c.at);
        END IF;
        g.probing := false;
    ELSIF r.percent IS NOT NULL AND NOT c.plain THEN
        IF c.at >= g.since + r.within THEN
            g.oks := 0;
            g.bads := 0;
            g.since := c.at;
        END IF;
        g.oks := g.oks + c.oks;
        g.bads := g.bads + c.bads;
        IF c.bads > 0 AND g.oks + g.bads >= r.at_least AND g.bads * 100 >= r.percent * (g.oks + g.bads) THEN
            RETURN opened(g, r, c.at);
        END IF;
    END IF;
    RETURN g;
END $$;

-- A gate (`earlier`: after other changes, if there were any) after a change.
CREATE FUNCTION changed(earlier gates, g gates, r rules, c gate_changes) RETURNS gates LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF earlier.key IS NOT NULL THEN
        g := earlier;
    ELSIF g.key IS NULL THEN
        g := ROW(c.key, 0, 0, 0, 0, false, false, 0, 0, 0, false);
    END IF;
    IF c.verb = 'settle' THEN
        RETURN settled(g, r, c);
    ELSIF c.verb = 'close' THEN
        g := closed(g, c.at);
        g.until := 0;
        g.tat := least(g.tat, c.at);
        RETURN g;
    END IF;
    g.until := greatest(g.until, coalesce(c.until, 0));
    IF c.verb = 'penalize' THEN -- a whole burst would follow at that moment
        g.tat := greatest(g.tat, g.until + coalesce(r.tolerance, 0));
        RETURN g;
    END IF;
    g.openings := g.openings + 1;
    g.probing := false;
    g.held := g.held OR c.until IS NULL;
    RETURN g;
END $$;

CREATE AGGREGATE after_all(gates, rules, gate_changes) (SFUNC = changed, STYPE = gates);

-- Whether the gates have to be brought up to what happened at once: for a breaker, or an order, or because somebody waits for
-- slots. What is plain otherwise is left to sweeps, which fold it in bulk.
CREATE FUNCTION must_fold_gates() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM gate_changes WHERE NOT plain)
        OR EXISTS (SELECT FROM waits) AND EXISTS (SELECT FROM gate_changes);
END $$;

-- Bring the gates up to what happened.
CREATE FUNCTION fold_gates() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changes gate_changes[];
    involved text[]; -- the gates at which more happened than that slots came free
BEGIN
    IF NOT EXISTS (SELECT FROM gate_changes) THEN
        RETURN;
    END IF;
    IF NOT must_fold_gates() THEN -- the same as below, for what is most of it
        WITH gone AS (
            DELETE FROM gate_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM gate_changes WHERE plain LIMIT 10000))
            RETURNING key, freed
        )
        UPDATE gates AS g SET running = greatest(0, g.running - c.freed)
        FROM (SELECT key, sum(freed) AS freed FROM gone GROUP BY key) AS c WHERE g.key = c.key;
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM gate_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM gate_changes LIMIT 10000)) RETURNING *
    )
    SELECT array_agg(c) INTO changes FROM gone AS c;
    involved := ARRAY(SELECT DISTINCT c.key FROM unnest(changes) AS c WHERE NOT c.plain AND c.verb NOT IN ('left', 'rule'));
    UPDATE gates AS g SET running = greatest(0, g.running - c.freed) FROM (
        SELECT c.key, sum(c.freed) AS freed FROM unnest(changes) AS c WHERE c.plain AND c.key <> ALL (involved) GROUP BY c.key
    ) AS c WHERE g.key = c.key;
    INSERT INTO gates SELECT (a.gate).* FROM (
        SELECT after_all(a.g, a.r, c ORDER BY c.seq) AS gate FROM unnest(changes) AS c
        CROSS JOIN LATERAL (
            SELECT (SELECT g FROM gates AS g WHERE g.key = c.key) AS g,
                   (SELECT r FROM rules AS r WHERE r.name = limit_of(c.key)) AS r OFFSET 0
        ) AS a
        WHERE c.key = ANY (involved) AND c.verb NOT IN ('left', 'rule') GROUP BY c.key
    ) AS a
    ON CONFLICT (key) DO UPDATE
    SET running = excluded.running, tat = excluded.tat, until = excluded.until, openings = excluded.openings,
        probing = excluded.probing, held = excluded.held, oks = excluded.oks, bads = excluded.bads, since = excluded.since;
    UPDATE waits SET look_at = 0
    WHERE look_at IS DISTINCT FROM 0
      AND key = ANY (ARRAY(SELECT c.key FROM unnest(changes) AS c WHERE c.verb NOT IN ('left', 'rule')));
    UPDATE waits AS w SET look_at = 0 FROM (SELECT DISTINCT c.key FROM unnest(changes) AS c WHERE c.verb = 'rule') AS c
    WHERE w.look_at IS DISTINCT FROM 0 AND (w.key = c.key OR w.key >= c.key || ':' AND w.key < c.key || ';');
    PERFORM forget_waits(
        ARRAY(SELECT c.key FROM unnest(changes) AS c WHERE c.verb = 'left' ORDER BY c.seq),
        ARRAY(SELECT c.queue FROM unnest(changes) AS c WHERE c.verb = 'left' ORDER BY c.seq));
END $$;

-- Of these gates and queues, forget those where nobody waits any more.
CREATE FUNCTION forget_waits(keys text[], queues text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM waits AS w USING unnest(keys, queues) AS u (key, queue)
    WHERE w.key = u.key AND w.queue = u.queue
      AND NOT EXISTS (SELECT FROM jobs AS j WHERE j.waits_on = u.key AND j.queue = u.queue);
END $$;

-- What a look at a gate found: how many more of a queue it has room for, and who goes.
CREATE TYPE look AS (key text, queue text, look_at bigint, gone text[], served bigint);

-- Have those stand in the line of their queue again whose gate has room for them, but for those that another transaction
-- has in its hands; gives how many.
CREATE FUNCTION let_go(moment bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    looks look[];
BEGIN
    IF NOT EXISTS (SELECT FROM waits WHERE look_at <= moment) THEN
        RETURN 0;
    END IF;
    SELECT array_agg(ROW(
        w.key, w.queue,
        CASE WHEN cardinality(n.gone) = 1000 THEN 0 WHEN w.free > 0 THEN moment + 1000000 ELSE w.opens_at END,
        n.gone, greatest(w.served, n.served))::look)
    INTO looks FROM (
        SELECT d.*, least(1000, d.free - CASE WHEN d.free < 2147483647 THEN ( -- who was let go, but has not started yet
            SELECT count(*) FROM (SELECT FROM jobs AS j WHERE j.let_go = d.key AND j.queue = d.queue LIMIT d.free) AS c
        ) ELSE 0 END) AS room
        FROM (
            SELECT w.*, free(a.g, a.r, moment) AS free, opens_at(a.g, a.r) AS opens_at
            FROM (SELECT * FROM waits WHERE look_at <= moment ORDER BY look_at LIMIT 1000) AS w
            CROSS JOIN LATERAL (
                SELECT (SELECT g FROM gates AS g WHERE g.key = w.key) AS g,
                       (SELECT r FROM rules AS r WHERE r.name = limit_of(w.key)) AS r OFFSET 0
            ) AS a
        ) AS d
    ) AS w CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(o.id), '{}') AS gone, max(o.place + 1000 / weight_in((
            SELECT t.rule FROM records AS t WHERE t.kind = 'tenant' AND t.name = coalesce(o.tenant, '')))) AS served
        FROM (
            SELECT j.id, j.place, j.tenant FROM jobs AS j WHERE j.waits_on = w.key AND j.queue = w.queue
            ORDER BY j.priority DESC, j.place, j.run_at, j.id LIMIT greatest(0, w.room) FOR UPDATE SKIP LOCKED
        ) AS o
    ) AS n;
    UPDATE jobs AS j SET waits_on = NULL, let_go = l.key
    FROM unnest(looks) AS l CROSS JOIN LATERAL unnest(l.gone) AS g (id) WHERE j.id = g.id;
    UPDATE waits AS w SET look_at = l.look_at, served = l.served
    FROM unnest(looks) AS l WHERE w.key = l.key AND w.queue = l.queue;
    PERFORM forget_waits(ARRAY(SELECT l.key FROM unnest(looks) AS l), ARRAY(SELECT l.queue FROM unnest(looks) AS l));
    RETURN (SELECT sum(cardinality(l.gone)) FROM unnest(looks) AS l);
END $$;

-- Breakers that opened or closed since this was last asked: each key, and whether it is open.
CREATE FUNCTION turned() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    found_so jsonb;
BEGIN
    WITH now_told AS (
        UPDATE gates SET told = held OR openings > 0
        WHERE key = ANY (ARRAY(SELECT g.key FROM gates AS g WHERE g.told <> (g.held OR g.openings > 0)))
        RETURNING key, told
    )
    SELECT jsonb_agg(jsonb_build_array(t.key, t.told) ORDER BY t.key) INTO found_so FROM now_told AS t;
    RETURN coalesce(found_so, '[]');
END $$;

-- Have gates do what they are told: each a key, a verb and a moment (none: for good).
CREATE FUNCTION order_gates(orders jsonb, now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gate_changes (key, verb, at, until)
    SELECT o ->> 0, o ->> 1, now, (o ->> 2)::bigint
    FROM jsonb_array_elements(orders) WITH ORDINALITY AS e (o, nth) ORDER BY nth;
END $$;

-- Gates as they are now, each with its rule and how many jobs wait before it: of these keys, or if there are none, those
-- in use, not closed, or with jobs before them, by key.
CREATE FUNCTION gates_as_of(keys text[], most integer, moment bigint)
RETURNS TABLE (key text, running bigint, tat bigint, until bigint, openings integer, probing boolean, held boolean,
               oks bigint, bads bigint, since bigint, told boolean, rule text, waiting bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM own();
    PERFORM fold_gates();
    IF cardinality(keys) = 0 THEN
        keys := ARRAY(
            SELECT g.key FROM gates AS g WHERE g.running > 0 OR g.held OR g.openings > 0 OR g.until > moment
            UNION SELECT w.key FROM waits AS w ORDER BY 1 LIMIT most);
    END IF;
    RETURN QUERY
        SELECT k.key, g.running, g.tat, g.until, g.openings, g.probing, g.held, g.oks, g.bads, g.since, g.told,
               (SELECT r.value FROM records AS r WHERE r.kind = 'limit' AND r.name = limit_of(k.key)),
               coalesce((SELECT sum(t.n)::bigint FROM waiting_totals AS t WHERE t.gate = k.key AND t.gate <> ''), 0)
        FROM (SELECT DISTINCT u.key COLLATE "C" AS key FROM unnest(keys) AS u (key) ORDER BY 1 LIMIT most) AS k
        LEFT JOIN LATERAL (SELECT * FROM gates AS g WHERE g.key = k.key OFFSET 0) AS g ON true
        ORDER BY k.key;
END $$;
