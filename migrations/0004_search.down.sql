-- Made anew by the server.
DROP INDEX IF EXISTS idx_memories_embedding;
DROP INDEX IF EXISTS idx_memories_group_unit;
DROP INDEX IF EXISTS idx_memories_other_dimension;
ALTER TABLE memories RESET (toast_tuple_target);
ALTER TABLE memories DROP COLUMN unit;
DROP INDEX idx_sessions_forks;
DROP INDEX idx_sessions_errors;
DROP TRIGGER keep_workflow_name ON sessions;
DROP FUNCTION relive_keep_workflow_name;
DROP TABLE workflow_names;
