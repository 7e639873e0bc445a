-- Forgetting ended jobs before their time.

-- Of these jobs, forget those that have ended in one of these states; gives their ids, in order. Children of a job that
-- lives are spared.
CREATE FUNCTION forget(ids text[], states text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    gone text[];
BEGIN
    WITH deleted AS (
        DELETE FROM ended AS e
        WHERE e.id = ANY (ids) AND e.state = ANY (states)
          AND (e.child_of IS NULL OR NOT EXISTS (SELECT FROM jobs AS j WHERE j.id = e.child_of))
        RETURNING e.id
    )
    SELECT array_agg(id) INTO gone FROM deleted;
    DELETE FROM failures WHERE job = ANY (gone);
    PERFORM lock_groups(gone);
    DELETE FROM groups WHERE id = ANY (gone);
    RETURN ARRAY(SELECT w.id FROM unnest(ids) WITH ORDINALITY AS w (id, place) WHERE w.id = ANY (gone) ORDER BY w.place);
END $$;

SELECT go_by_indexes('forget(text[], text[])');
