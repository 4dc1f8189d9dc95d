CREATE OR REPLACE FUNCTION relive_keep_for_forks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest bigint := (SELECT max(revision) FROM session_lineage WHERE ancestor_id = OLD.id);
    kept   uuid := gen_random_uuid();
BEGIN
    IF newest IS NULL THEN
        RETURN OLD;
    END IF;
    INSERT INTO ancestors (id, session_id) VALUES (kept, OLD.id);
    INSERT INTO ancestor_messages (ancestor_id, revision, id, node_id, agent_id, agent_name, role, content,
                                   token_count, is_thinking, created_at)
    SELECT kept, revision, id, node_id, agent_id, agent_name, role, content, token_count, is_thinking, created_at
    FROM session_messages WHERE session_id = OLD.id AND revision <= newest;
    INSERT INTO ancestor_outputs (ancestor_id, revision, output)
    SELECT kept, revision, event -> 'output' FROM session_events
    WHERE session_id = OLD.id AND revision IN (
        SELECT (node -> 'output' ->> 'revision')::bigint
        FROM session_lineage AS line
        JOIN session_events AS first ON first.session_id = line.session_id AND first.revision = 1
        CROSS JOIN json_array_elements(first.event -> 'forked' -> 'state' -> 'nodes') AS node
        WHERE line.ancestor_id = OLD.id AND (node -> 'output' ->> 'depth')::integer = line.depth);
    UPDATE session_lineage SET ancestor_id = kept WHERE ancestor_id = OLD.id;
    IF NOT FOUND THEN
        -- The forks were deleted at the same time.
        DELETE FROM ancestors WHERE id = kept;
    END IF;
    RETURN OLD;
END
$$;

DROP TABLE ancestor_logs;
DROP TABLE session_logs;
ALTER TABLE ancestor_messages
    DROP COLUMN content_type,
    DROP COLUMN tool_call_id,
    DROP COLUMN tool_calls;
ALTER TABLE session_messages
    DROP COLUMN content_type,
    DROP COLUMN tool_call_id,
    DROP COLUMN tool_calls;
