-- Runs that were started by other runs. New columns without a default take no time, however many rows there are, and
-- the children of a session are found through `session_labels`, whose rows are those of new sessions.
ALTER TABLE sessions
    ADD COLUMN parent_session_id uuid,
    ADD COLUMN parent_node_id text;

-- How many children a session has, so that a list need not count them. A row of its own: the session's changes all
-- the time, and a child must not wait for it. Sessions without children have none.
CREATE TABLE session_families (
    session_id uuid PRIMARY KEY,
    children   bigint NOT NULL
) WITH (fillfactor = 70);

-- Whoever stores a child holds the row of its parent (`FOR KEY SHARE`), so none is missed when that is deleted.
CREATE FUNCTION relive_enter_family() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_labels
    VALUES (relive_label(NEW.project_id, 'parent', NEW.parent_session_id::text), NEW.created_at, NEW.id)
    ON CONFLICT DO NOTHING;
    INSERT INTO session_families VALUES (NEW.parent_session_id, 1)
    ON CONFLICT (session_id) DO UPDATE SET children = session_families.children + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER enter_family AFTER INSERT ON sessions FOR EACH ROW
    WHEN (NEW.parent_session_id IS NOT NULL) EXECUTE FUNCTION relive_enter_family();

CREATE FUNCTION relive_leave_family() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM session_labels WHERE session_id = OLD.id AND session_created_at = OLD.created_at
        AND label = relive_label(OLD.project_id, 'parent', OLD.parent_session_id::text);
    UPDATE session_families SET children = children - 1 WHERE session_id = OLD.parent_session_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER leave_family AFTER DELETE ON sessions FOR EACH ROW
    WHEN (OLD.parent_session_id IS NOT NULL) EXECUTE FUNCTION relive_leave_family();

-- The children of a deleted session stay, as roots, however it comes to be deleted. That is an event of each, which
-- takes a revision like any other: whoever is writing to a child loses that race, and decides again. Afterwards
-- and not before the deletion, since a child may be deleted by the same statement.
CREATE FUNCTION relive_release_children() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER release_children AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION relive_release_children();
