CREATE OR REPLACE FUNCTION relive_prune_audit(age interval, kept bigint, batch integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest bigint;
    removed bigint;
BEGIN
    SELECT max(number) INTO newest FROM audit_log;
    DELETE FROM audit_log WHERE number IN (
        SELECT oldest.number FROM (SELECT number, at FROM audit_log ORDER BY number LIMIT batch) AS oldest
        WHERE oldest.at < now() - greatest(age, interval '1 day') OR oldest.number <= newest - greatest(kept, 1000));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
DROP INDEX idx_sign_ins_key_itself;
DROP TRIGGER projects_are_kept ON projects;
DROP FUNCTION relive_keep_project();
DROP TRIGGER sign_ins_in_project ON sign_ins;
DROP TRIGGER api_keys_in_project ON api_keys;
DROP TRIGGER memories_in_project ON memories;
DROP TRIGGER workflows_in_project ON workflows;
DROP TRIGGER agents_in_project ON agents;
DROP TRIGGER groups_in_project ON groups;
DROP TRIGGER sessions_in_project ON sessions;
DROP FUNCTION relive_in_project();
-- The version before deletes them with what was given for them.
DELETE FROM projects WHERE deleted_at IS NOT NULL;
ALTER TABLE projects DROP COLUMN deleted_at;
