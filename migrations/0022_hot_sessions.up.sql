-- A change of a running session changes no indexed column, so that its row needs no new index entries: the update is
-- HOT. What lists find by the time of the last change, and by the statuses of nodes, is in columns that seldom change.
--
-- New columns take no time, however many rows there are. Rows of earlier versions are brought up to date in small
-- batches, and the indexes follow without a lock (`session_list/backfill.rs`, `indexes.rs`).
ALTER TABLE sessions
    -- `updated_at` is less than ten minutes after this, which is written only where that would no longer hold. So
    -- whoever looks for a later `updated_at` than T looks for a later `updated_about` than T - 10 minutes. What was
    -- there before has the time of the migration.
    ADD COLUMN updated_about timestamptz NOT NULL DEFAULT now(),
    -- Of an ended session: a hash for each node with its status. NULL while it runs, and where it is not known yet.
    ADD COLUMN ended_nodes integer[];

-- An update is HOT only if the new row finds room in the page of the old one, also when a batch changes all rows of a
-- page at once. At 80 every fifth did not in a fleet of 500, and PostgreSQL spent half as much CPU again.
ALTER TABLE sessions SET (fillfactor = 50);

CREATE FUNCTION relive_node_hash(node text, status text) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN hashtext(node || E'\n' || status);

CREATE FUNCTION relive_node_hashes(node_statuses jsonb) RETURNS integer[] LANGUAGE sql IMMUTABLE
RETURN (SELECT coalesce(array_agg(relive_node_hash(key, value)), '{}') FROM jsonb_each_text(node_statuses));

-- A server writes both columns itself. This is for a server of the version before, whose every update names
-- `labels_revision`; the updates that have to be fast do not, so that no condition of a trigger is looked at for them.
CREATE FUNCTION relive_keep_list_columns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET
        updated_about = NEW.updated_at,
        ended_nodes = CASE WHEN NEW.ended_at IS NOT NULL THEN relive_node_hashes(NEW.node_statuses) END
    WHERE id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_list_columns AFTER UPDATE OF labels_revision ON sessions FOR EACH ROW
    WHEN (NEW.updated_at >= NEW.updated_about + interval '10 minutes'
        OR (NEW.ended_at IS NOT NULL AND NEW.ended_nodes IS NULL))
    EXECUTE FUNCTION relive_keep_list_columns();

-- As before, with the column.
CREATE OR REPLACE FUNCTION relive_release_children() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH released AS (
        UPDATE sessions SET revision = revision + 1, parent_session_id = NULL, parent_node_id = NULL,
            updated_at = GREATEST(updated_at, date_trunc('milliseconds', clock_timestamp())),
            updated_about = GREATEST(updated_at, date_trunc('milliseconds', clock_timestamp()))
        WHERE parent_session_id = OLD.id AND id IN (
            SELECT session_id FROM session_labels WHERE label = relive_label(OLD.project_id, 'parent', OLD.id::text))
        RETURNING id, revision, created_at, updated_at
    ), unlisted AS (
        DELETE FROM session_labels USING released
        WHERE label = relive_label(OLD.project_id, 'parent', OLD.id::text)
            AND session_created_at = released.created_at AND session_id = released.id
    )
    INSERT INTO session_events (session_id, revision, at, batch, event)
    SELECT id, revision, updated_at, 0, '{"type":"parentRemoved"}' FROM released;
    DELETE FROM session_families WHERE session_id = OLD.id;
    RETURN NULL;
END
$$;
