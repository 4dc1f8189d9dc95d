-- What models and tools say to each other. New columns without a default take no time, however many rows there
-- are.
ALTER TABLE session_messages
    ADD COLUMN tool_calls json,
    ADD COLUMN tool_call_id text,
    ADD COLUMN content_type text;
ALTER TABLE ancestor_messages
    ADD COLUMN tool_calls json,
    ADD COLUMN tool_call_id text,
    ADD COLUMN content_type text;

-- Log lines of nodes. The revision that added a line is its identity, so a line needs no id.
CREATE TABLE session_logs (
    session_id uuid NOT NULL CONSTRAINT session_logs_session REFERENCES sessions ON DELETE CASCADE,
    revision   bigint NOT NULL,
    node_id    text NOT NULL,
    -- 0 debug, 1 info, 2 warn, 3 error.
    level      smallint NOT NULL,
    text       text NOT NULL,
    -- By the client's clock, if it told.
    at         timestamptz NOT NULL,
    attributes json,
    PRIMARY KEY (session_id, revision)
);
-- One node's lines among many of others.
CREATE INDEX idx_session_logs_node ON session_logs (session_id, node_id, revision);

CREATE TABLE ancestor_logs (
    ancestor_id uuid NOT NULL REFERENCES ancestors ON DELETE CASCADE,
    revision    bigint NOT NULL,
    node_id     text NOT NULL,
    level       smallint NOT NULL,
    text        text NOT NULL,
    at          timestamptz NOT NULL,
    attributes  json,
    PRIMARY KEY (ancestor_id, revision)
);
CREATE INDEX idx_ancestor_logs_node ON ancestor_logs (ancestor_id, node_id, revision);

-- As before, with the new columns and the lines.
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
                                   token_count, is_thinking, created_at, tool_calls, tool_call_id, content_type)
    SELECT kept, revision, id, node_id, agent_id, agent_name, role, content, token_count, is_thinking, created_at,
           tool_calls, tool_call_id, content_type
    FROM session_messages WHERE session_id = OLD.id AND revision <= newest;
    INSERT INTO ancestor_logs (ancestor_id, revision, node_id, level, text, at, attributes)
    SELECT kept, revision, node_id, level, text, at, attributes
    FROM session_logs WHERE session_id = OLD.id AND revision <= newest;
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
