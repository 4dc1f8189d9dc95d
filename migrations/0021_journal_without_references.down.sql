DROP TRIGGER delete_journal ON sessions;
DROP FUNCTION relive_delete_journal();

ALTER TABLE session_events ADD CONSTRAINT session_events_session
    FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE;
ALTER TABLE session_commands ADD CONSTRAINT session_commands_session
    FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE;
