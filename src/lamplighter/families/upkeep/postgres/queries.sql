-- What upkeep asks of a PostgreSQL server. $1 is always the schemas, $2 single tables as schema.table, unless a query says
-- otherwise. Sizes are bytes, ages are seconds.

-- :tables Each table that is ours or was named, with what a fresh one of the same rows would be estimated from. How many
-- rows there are, the last ANALYZE or VACUUM knew best; once much has changed, what was counted since knows better.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name,
       pg_relation_size(c.oid) AS bytes,
       CASE WHEN c.reltuples >= 0 AND coalesce(s.n_mod_since_analyze, 0) <= 0.1 * c.reltuples THEN c.reltuples
            ELSE greatest(s.n_live_tup, 0) END::float8 AS rows,
       s.n_dead_tup AS dead, s.n_mod_since_analyze AS changed,
       c.reltuples < 0 AS unknown,
       extract(epoch FROM now() - greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed,
       extract(epoch FROM now() - greatest(s.last_analyze, s.last_autoanalyze))::float8 AS analyzed,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100)
           AS fillfactor,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       EXISTS (SELECT FROM pg_trigger AS t
               WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 16 <> 0) AS triggered,
       EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = c.oid) AS ruled,
       c.relrowsecurity AND c.relforcerowsecurity AS guarded,
       (SELECT jsonb_agg(jsonb_build_array(a.attlen, a.attalign, coalesce(p.avg_width, 32), coalesce(p.null_frac, 0))
                         ORDER BY a.attnum)
        FROM pg_attribute AS a
        LEFT JOIN pg_stats AS p ON p.schemaname = n.nspname AND p.tablename = c.relname AND p.attname = a.attname
                                   AND NOT p.inherited
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)::text AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND (n.nspname = ANY ($1::text[]) OR n.nspname || '.' || c.relname = ANY ($2::text[]))
ORDER BY n.nspname, c.relname;

-- :indexes Each B-tree of those tables, likewise. `distinct`: how many values each column has, or minus their share of rows.
SELECT i.indexrelid::bigint AS oid, n.nspname AS schema, x.relname AS name, c.relname AS "table",
       i.indrelid::bigint AS table_oid,
       pg_relation_size(x.oid) AS bytes,
       greatest(x.reltuples, 0)::float8 AS rows, c.reltuples < 0 AS unknown,
       CASE WHEN c.reltuples >= 0 AND coalesce(s.n_mod_since_analyze, 0) <= 0.1 * c.reltuples THEN c.reltuples
            ELSE greatest(s.n_live_tup, 0) END::float8 AS table_rows,
       i.indpred IS NOT NULL AS partial, i.indisunique AS "unique", i.indisvalid AS valid,
       i.indisexclusion AS exclusion, pg_has_role(c.relowner, 'USAGE') AS owned,
       coalesce((SELECT option_value::int FROM pg_options_to_table(x.reloptions) WHERE option_name = 'fillfactor'), 90)
           AS fillfactor,
       EXISTS (SELECT FROM pg_stat_progress_create_index AS b WHERE b.relid = i.indrelid) AS building,
       (SELECT jsonb_agg(jsonb_build_array(a.attlen, a.attalign, coalesce(p.avg_width, 32), coalesce(p.null_frac, 0),
                                           coalesce(p.n_distinct, -1)) ORDER BY a.attnum)
        FROM pg_attribute AS a
        LEFT JOIN pg_attribute AS o ON o.attrelid = i.indrelid AND o.attnum = i.indkey[a.attnum - 1] AND o.attnum > 0
        LEFT JOIN pg_stats AS p ON p.schemaname = n.nspname AND NOT p.inherited
                                   AND p.tablename = CASE WHEN o.attnum IS NULL THEN x.relname ELSE c.relname END
                                   AND p.attname = coalesce(o.attname, a.attname)
        WHERE a.attrelid = i.indexrelid)::text AS columns
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_am AS m ON m.oid = x.relam AND m.amname = 'btree'
JOIN pg_class AS c ON c.oid = i.indrelid AND c.relkind = 'r' AND c.relpersistence <> 't'
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
WHERE n.nspname = ANY ($1::text[]) OR n.nspname || '.' || c.relname = ANY ($2::text[])
ORDER BY n.nspname, x.relname;

-- :sizes What each table takes, with what it holds out of line, and each index, of whatever kind.
SELECT n.nspname || '.' || c.relname AS name, CASE c.relkind WHEN 'r' THEN 'table' ELSE 'index' END AS kind,
       CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END AS bytes
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_class AS t ON t.oid = i.indrelid
WHERE c.relkind IN ('r', 'i') AND c.relpersistence <> 't'
  AND (n.nspname = ANY ($1::text[]) OR n.nspname || '.' || coalesce(t.relname, c.relname) = ANY ($2::text[]))
ORDER BY bytes DESC, name;

-- :transactions What keeps dead rows of this database from being removed, the oldest first ($1: the least age).
SELECT 'transaction of process ' || pid AS what, coalesce(usename, '') AS who, coalesce(state, '') AS state,
       extract(epoch FROM now() - xact_start)::float8 AS age
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - make_interval(secs => $1)
  AND query NOT LIKE 'autovacuum:%'
UNION ALL
SELECT 'prepared transaction ' || gid, coalesce(owner, ''), 'prepared', extract(epoch FROM now() - prepared)::float8
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < now() - make_interval(secs => $1)
ORDER BY age DESC
LIMIT 20;

-- :deadlock_timeout In milliseconds.
SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout';

-- :hidden How many other sessions this role is not let see whole.
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type IS NULL;

-- :extension Where pgstattuple is, if it is there and this role may use it.
SELECT quote_ident(n.nspname) AS schema
FROM pg_extension AS e
JOIN pg_namespace AS n ON n.oid = e.extnamespace
JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'pgstattuple_approx'
WHERE e.extname = 'pgstattuple' AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE');

-- :table How large a table is, and how to write its name ($1: its oid).
SELECT pg_relation_size(c.oid) AS bytes, current_setting('block_size')::int AS block,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
       (SELECT quote_ident(a.attname) FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
          AND a.attidentity <> 'a'
        ORDER BY a.attlen < 0, a.attlen, a.attnum LIMIT 1) AS "column"
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = $1::bigint::oid;

-- :relation The oid of what is named so ($1: schema.name), and how large it is.
SELECT c.oid::bigint AS oid, pg_relation_size(c.oid) AS bytes,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = $1;

-- :left What a REINDEX of this table that was broken off left behind ($1: schema.name).
SELECT quote_ident(n.nspname) || '.' || quote_ident(x.relname) AS name
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = $1 AND NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS b WHERE b.relid = i.indrelid);

-- :newest The transaction that begins next.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

-- :ended Whether all transactions before that one ($1) have ended, so that nobody sees what they replaced.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= $1
   AND NOT EXISTS (SELECT FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND age(backend_xmin) > age((($1::bigint) % 4294967296)::text::xid));

-- :waiting Whether somebody has waited for so many seconds ($2) for what another connection of ours does ($1: its
-- process). Not whether anybody waits: a VACUUM that gives the end of a table back makes others wait for milliseconds.
SELECT EXISTS (SELECT FROM pg_locks AS w
               WHERE NOT w.granted AND w.pid <> $1 AND w.waitstart < clock_timestamp() - make_interval(secs => $2)
                 AND $1 = ANY (pg_blocking_pids(w.pid)));

-- :cancel Have it end what it does ($1: its process).
SELECT pg_cancel_backend($1);

-- :alone Whether no other process keeps this database up now.
SELECT pg_try_advisory_lock(hashtext('lamplighter'), hashtext('upkeep'));
