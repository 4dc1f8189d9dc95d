-- A write proves by its fence that the session is there, which is part of the same statement.
-- So no event and no command id has to look it up and lock it once more. What a deletion took with it by these
-- references it now takes by a trigger, which also serves the deletions of groups and projects.
ALTER TABLE session_events DROP CONSTRAINT session_events_session;
ALTER TABLE session_commands DROP CONSTRAINT session_commands_session;

CREATE FUNCTION relive_delete_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM session_events WHERE session_id = OLD.id;
    DELETE FROM session_commands WHERE session_id = OLD.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER delete_journal AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION relive_delete_journal();
