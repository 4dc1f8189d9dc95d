CREATE OR REPLACE FUNCTION relive_release_children() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH released AS (
        UPDATE sessions SET revision = revision + 1, parent_session_id = NULL, parent_node_id = NULL,
            updated_at = GREATEST(updated_at, date_trunc('milliseconds', clock_timestamp()))
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

ALTER TABLE sessions SET (fillfactor = 80);
DROP TRIGGER keep_list_columns ON sessions;
DROP FUNCTION relive_keep_list_columns();
DROP FUNCTION relive_node_hashes(jsonb);
DROP FUNCTION relive_node_hash(text, text);

-- Indexes go with their columns: those of the version before are made again.
ALTER TABLE sessions DROP COLUMN ended_nodes;
ALTER TABLE sessions DROP COLUMN updated_about;
CREATE INDEX IF NOT EXISTS idx_sessions_updated ON sessions (project_id, updated_at);
CREATE INDEX IF NOT EXISTS idx_sessions_live ON sessions (project_id, created_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS idx_sessions_ended_node_statuses ON sessions USING gin (node_statuses jsonb_path_ops)
    WHERE ended_at IS NOT NULL;
DROP INDEX IF EXISTS idx_sessions_driven;
CREATE INDEX idx_sessions_driven ON sessions (updated_at) WHERE driver = 'builtin' AND status IN ('running', 'paused');
