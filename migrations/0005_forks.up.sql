-- A fork begins with the state of the session it was forked from. What that session said, and what
-- its nodes put out, the fork shows without a copy, for as long as the session exists. When it is
-- deleted, what its forks show of it stays behind in the tables here.

-- The sessions that a fork descends from: depth 1 is the one it was forked from, 2 the one that was
-- forked from, and so on; each up to the revision at which the line leaves it. `ancestor_id` is a
-- session or, once that was deleted, a row of `ancestors`.
CREATE TABLE session_lineage (
    session_id  uuid NOT NULL CONSTRAINT session_lineage_session REFERENCES sessions ON DELETE CASCADE,
    depth       integer NOT NULL,
    ancestor_id uuid NOT NULL,
    revision    bigint NOT NULL,
    PRIMARY KEY (session_id, depth)
);
CREATE INDEX idx_session_lineage_ancestor ON session_lineage (ancestor_id);

-- Sessions that are no more, but that forks descend from. Their ids are new ones: that of a deleted
-- session may be used again.
CREATE TABLE ancestors (
    id         uuid PRIMARY KEY,
    -- The id it had.
    session_id uuid NOT NULL
);

CREATE TABLE ancestor_messages (
    ancestor_id uuid NOT NULL REFERENCES ancestors ON DELETE CASCADE,
    revision    bigint NOT NULL,
    id          uuid NOT NULL,
    node_id     text NOT NULL,
    agent_id    text,
    agent_name  text,
    role        text NOT NULL,
    content     text NOT NULL,
    token_count bigint NOT NULL,
    is_thinking boolean NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (ancestor_id, revision)
);

-- Outputs of nodes, where the state of a fork says they stand.
CREATE TABLE ancestor_outputs (
    ancestor_id uuid NOT NULL REFERENCES ancestors ON DELETE CASCADE,
    revision    bigint NOT NULL,
    output      json NOT NULL,
    PRIMARY KEY (ancestor_id, revision)
);

-- Keeps what forks show of a session that is about to be deleted, however it comes to be deleted.
-- Whoever makes a fork holds the rows of all sessions in its line, so none is missed here.
CREATE FUNCTION relive_keep_for_forks() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER keep_for_forks BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION relive_keep_for_forks();

-- What no fork descends from any more is let go.
CREATE FUNCTION relive_forget_ancestors() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One after the other, or of two that go at the same time each would leave it to the other.
    PERFORM FROM ancestors WHERE id IN (SELECT ancestor_id FROM gone) ORDER BY id FOR UPDATE;
    DELETE FROM ancestors WHERE id IN (SELECT ancestor_id FROM gone)
        AND NOT EXISTS (SELECT FROM session_lineage WHERE ancestor_id = ancestors.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_ancestors AFTER DELETE ON session_lineage REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION relive_forget_ancestors();

-- Messages are read in the order of their revisions, which the other index has.
DROP INDEX idx_session_messages_created;
