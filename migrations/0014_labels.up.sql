-- The name, the tags and the metadata of sessions. New columns without a default take no time, however many rows
-- there are, and the index is a table of its own that begins empty: nothing is built over the existing sessions.
ALTER TABLE sessions
    ADD COLUMN name text,
    ADD COLUMN tags text[],
    ADD COLUMN metadata jsonb,
    -- Where the labels were last changed. Comparing it costs an update less than comparing the labels.
    ADD COLUMN labels_revision bigint;

-- Which sessions have a label, in the order of lists. A GIN index over the columns would cost more and do less:
-- the row of a running session changes all the time and with it an indexed column, so each change would add
-- an entry for every label again; and GIN has no order, so that the newest 50 of 500,000 sessions with a tag
-- would be found by reading all of them. Here a change of a session that leaves its labels alone writes nothing,
-- and a page is read like any other.
--
-- Labels are hashes, so that a row has the same small size whatever the label. Those who read compare the
-- session's own columns as well.
CREATE TABLE session_labels (
    label              bigint NOT NULL,
    session_created_at timestamptz NOT NULL,
    session_id         uuid NOT NULL,
    PRIMARY KEY (label, session_created_at, session_id)
);

-- The function with which hash partitions are chosen: it does not change between versions of PostgreSQL.
CREATE FUNCTION relive_label(project text, kind text, value text) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN hashtextextended(project || E'\n' || kind || E'\n' || value, 0);

-- An entry of the metadata. 1 and 1.0 are the same number.
CREATE FUNCTION relive_metadata_label(project text, key text, value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN relive_label(project, 'metadata', key || E'\n' || CASE jsonb_typeof(value)
    WHEN 'number' THEN trim_scale((value #>> '{}')::numeric)::text ELSE value::text END);

-- All labels of a session. `named` is that of all sessions which a search by text looks through.
CREATE FUNCTION relive_labels(project text, name text, tags text[], metadata jsonb) RETURNS SETOF bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT relive_label(project, 'tag', tag) FROM unnest(tags) AS tag
    UNION SELECT relive_label(project, 'name', name) WHERE name IS NOT NULL
    UNION SELECT relive_label(project, 'named', '') WHERE name IS NOT NULL OR tags IS NOT NULL
    UNION SELECT relive_metadata_label(project, key, value) FROM jsonb_each(metadata)
$$;

CREATE FUNCTION relive_index_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM session_labels WHERE session_id = OLD.id AND session_created_at = OLD.created_at
            AND label IN (SELECT relive_labels(OLD.project_id, OLD.name, OLD.tags, OLD.metadata));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO session_labels
        SELECT relive_labels(NEW.project_id, NEW.name, NEW.tags, NEW.metadata), NEW.created_at, NEW.id
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER index_labels_of_new AFTER INSERT ON sessions FOR EACH ROW
    WHEN (NEW.name IS NOT NULL OR NEW.tags IS NOT NULL OR NEW.metadata IS NOT NULL)
    EXECUTE FUNCTION relive_index_labels();
CREATE TRIGGER index_labels AFTER UPDATE OF labels_revision ON sessions FOR EACH ROW
    WHEN (NEW.labels_revision IS DISTINCT FROM OLD.labels_revision)
    EXECUTE FUNCTION relive_index_labels();
CREATE TRIGGER index_labels_of_deleted AFTER DELETE ON sessions FOR EACH ROW
    WHEN (OLD.name IS NOT NULL OR OLD.tags IS NOT NULL OR OLD.metadata IS NOT NULL)
    EXECUTE FUNCTION relive_index_labels();
