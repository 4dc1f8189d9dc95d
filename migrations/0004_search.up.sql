-- What searches stand on: sessions by text and by time, memories by vector.

-- The names that sessions were made under, by workflow: workflows are renamed, their sessions are
-- not. So few that a search looks through them; the sessions are then found by their workflow.
CREATE TABLE workflow_names (
    workflow_id uuid NOT NULL CONSTRAINT workflow_names_workflow REFERENCES workflows ON DELETE CASCADE,
    name        text NOT NULL,
    PRIMARY KEY (workflow_id, name)
);
INSERT INTO workflow_names
    SELECT DISTINCT workflow_id, workflow_name FROM sessions
    WHERE workflow_id IS NOT NULL AND workflow_name IS NOT NULL;
CREATE FUNCTION relive_keep_workflow_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO workflow_names VALUES (NEW.workflow_id, NEW.workflow_name) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_workflow_name AFTER INSERT ON sessions FOR EACH ROW
    WHEN (NEW.workflow_id IS NOT NULL AND NEW.workflow_name IS NOT NULL)
    EXECUTE FUNCTION relive_keep_workflow_name();

-- In the order of lists, and empty for almost every session: neither costs a live session's changes
-- anything.
CREATE INDEX idx_sessions_errors ON sessions (created_at DESC, id DESC) WHERE error IS NOT NULL;
CREATE INDEX idx_sessions_forks ON sessions (created_at DESC, id DESC) WHERE parent_id IS NOT NULL;

-- The embedding with length 1 and half the bytes: what searches compare. Cosine distance is then
-- one multiplication per number, and the small difference to the embedding itself is made good by
-- comparing the nearest few exactly.
ALTER TABLE memories ADD COLUMN unit halfvec GENERATED ALWAYS AS (l2_normalize(embedding)::halfvec) STORED;
-- A comparison must not have to fetch `unit` piece by piece from the TOAST table. Rows may fill a
-- page; what is moved out when they do not fit is the largest first, and that is the embedding.
ALTER TABLE memories SET (toast_tuple_target = 8160);
-- Made anew by the server, over `unit`.
DROP INDEX IF EXISTS idx_memories_embedding;
