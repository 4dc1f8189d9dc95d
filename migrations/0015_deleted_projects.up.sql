-- A deleted project keeps its row, so that its id is never used again: what was given for it (keys, tokens, sign-ins,
-- answers under an Idempotency-Key, the audit log) must not count in another project of the same name.
ALTER TABLE projects ADD COLUMN deleted_at timestamptz;

-- Nothing is written into a project that does not exist, or not any more. Whoever writes shares a lock that the
-- deletion takes alone. It is an advisory lock and not one of the row: those would be written to the row by every
-- session that is created. The function is volatile, so the second statement sees what was committed before it.
CREATE FUNCTION relive_in_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The first number is "relp" in ASCII.
    PERFORM pg_advisory_xact_lock_shared(1919249520, hashtext(NEW.project_id));
    PERFORM FROM projects WHERE id = NEW.project_id AND deleted_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such project' USING ERRCODE = 'RL004';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER sessions_in_project BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION relive_in_project();
CREATE TRIGGER groups_in_project BEFORE INSERT ON groups FOR EACH ROW EXECUTE FUNCTION relive_in_project();
CREATE TRIGGER agents_in_project BEFORE INSERT ON agents FOR EACH ROW EXECUTE FUNCTION relive_in_project();
CREATE TRIGGER workflows_in_project BEFORE INSERT ON workflows FOR EACH ROW EXECUTE FUNCTION relive_in_project();
-- A memory of a session is held by that: while there is one, its project is not deleted.
CREATE TRIGGER memories_in_project BEFORE INSERT ON memories FOR EACH ROW WHEN (NEW.session_id IS NULL)
    EXECUTE FUNCTION relive_in_project();
CREATE TRIGGER api_keys_in_project BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION relive_in_project();
CREATE TRIGGER sign_ins_in_project BEFORE INSERT ON sign_ins FOR EACH ROW EXECUTE FUNCTION relive_in_project();

-- Also not by a server of the version before.
CREATE FUNCTION relive_keep_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a project is marked as deleted, so that its id is not used again' USING ERRCODE = 'RL005';
END
$$;
CREATE TRIGGER projects_are_kept BEFORE DELETE ON projects FOR EACH ROW EXECUTE FUNCTION relive_keep_project();

-- Sign-ins with a key itself are counted.
CREATE INDEX idx_sign_ins_key_itself ON sign_ins (key_id) WHERE key_id IS NOT NULL AND token_id IS NULL;

-- Removes the rows that are older than `age`, and when there are more than `kept`, the oldest of the project that has
-- the most: one project cannot push out what is recorded of the others. At most `batch` of them; returns how many.
-- What is younger than a day is not removed for its age, and a thousand rows stay, whatever is asked for.
CREATE OR REPLACE FUNCTION relive_prune_audit(age interval, kept bigint, batch integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    removed bigint;
    excess bigint;
    largest text;
    of_largest bigint;
BEGIN
    DELETE FROM audit_log WHERE number IN (
        SELECT oldest.number FROM (SELECT number, at FROM audit_log ORDER BY number LIMIT batch) AS oldest
        WHERE oldest.at < now() - greatest(age, interval '1 day'));
    GET DIAGNOSTICS removed = ROW_COUNT;
    SELECT sum(rows.number) - greatest(kept, 1000), max(rows.number) INTO excess, of_largest
        FROM (SELECT count(*) AS number FROM audit_log GROUP BY project_id) AS rows;
    IF excess <= 0 OR removed >= batch THEN
        RETURN removed;
    END IF;
    SELECT project_id INTO largest FROM audit_log GROUP BY project_id HAVING count(*) = of_largest LIMIT 1;
    DELETE FROM audit_log WHERE number IN (
        SELECT number FROM audit_log WHERE project_id IS NOT DISTINCT FROM largest
        ORDER BY number LIMIT least(batch - removed, excess));
    GET DIAGNOSTICS excess = ROW_COUNT;
    RETURN removed + excess;
END
$$;
