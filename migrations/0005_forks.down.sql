CREATE INDEX idx_session_messages_created ON session_messages (session_id, created_at, revision);
DROP TRIGGER keep_for_forks ON sessions;
DROP FUNCTION relive_keep_for_forks;
DROP TABLE session_lineage;
DROP FUNCTION relive_forget_ancestors;
DROP TABLE ancestor_outputs;
DROP TABLE ancestor_messages;
DROP TABLE ancestors;
