-- Sessions whose journal is in a file of the archive, and not in the database. What lists show and find of them is kept
-- under the names that it has in `sessions`, so that the same conditions apply to both.
CREATE TABLE archived_sessions (
    id                uuid PRIMARY KEY,
    project_id        text NOT NULL,
    group_id          uuid,
    workflow_id       uuid,
    workflow_name     text,
    status            text NOT NULL,
    node_statuses     jsonb NOT NULL,
    node_counts       jsonb NOT NULL,
    ended_nodes       integer[],
    revision          bigint NOT NULL,
    total_tokens      bigint NOT NULL,
    total_cost_usd    numeric NOT NULL,
    error             text,
    started_at        timestamptz,
    ended_at          timestamptz NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    updated_about     timestamptz NOT NULL,
    incarnation       bigint NOT NULL,
    name              text,
    tags              text[],
    metadata          jsonb,
    driver_seen_at    timestamptz,
    is_stalled        boolean,
    parent_session_id uuid,
    parent_node_id    text,
    children          bigint,
    archived_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    file_name         text NOT NULL CONSTRAINT archived_sessions_file UNIQUE,
    file_bytes        bigint NOT NULL,
    -- Of the file as it is stored, in hexadecimal digits.
    file_sha256       text NOT NULL,
    events            bigint NOT NULL,
    messages          bigint NOT NULL,
    logs              bigint NOT NULL,
    memories          bigint NOT NULL,
    -- A group is deleted with its sessions, wherever they are.
    CONSTRAINT archived_sessions_group FOREIGN KEY (project_id, group_id)
        REFERENCES groups (project_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_archived_sessions_created ON archived_sessions (project_id, created_at DESC, id DESC);
CREATE INDEX idx_archived_sessions_workflow ON archived_sessions (project_id, workflow_id, created_at DESC, id DESC);
CREATE INDEX idx_archived_sessions_group ON archived_sessions (project_id, group_id, created_at DESC, id DESC);
CREATE INDEX idx_archived_sessions_tags ON archived_sessions USING gin (tags);

-- Files that no row of `archived_sessions` names: those being written, and those that are to be removed.
CREATE TABLE archive_files (
    name       text PRIMARY KEY,
    -- The session that is being archived. NULL: the file is to be removed.
    session_id uuid CONSTRAINT archive_files_session UNIQUE,
    -- When any server may remove the file. Whoever writes it moves this on, so that no other does the same, and a crash
    -- gives the session back by itself.
    due_at     timestamptz NOT NULL
);
CREATE INDEX idx_archive_files_due ON archive_files (due_at);

-- However a row goes, its file goes too.
CREATE FUNCTION relive_remove_archive_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO archive_files (name, due_at) VALUES (OLD.file_name, clock_timestamp());
    RETURN NULL;
END
$$;
CREATE TRIGGER remove_file AFTER DELETE ON archived_sessions FOR EACH ROW
    EXECUTE FUNCTION relive_remove_archive_file();

-- The id of an archived session is taken. Looked at after the row was inserted: by then a transaction that archives a
-- session of this id, and for which the insertion has waited, is visible.
CREATE FUNCTION relive_id_is_not_archived() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner text := (SELECT project_id FROM archived_sessions WHERE id = NEW.id);
BEGIN
    IF owner = NEW.project_id THEN
        RAISE unique_violation USING CONSTRAINT = 'archived_sessions_id',
            MESSAGE = 'a session with this id is in the archive';
    ELSIF owner IS NOT NULL THEN
        RAISE unique_violation USING CONSTRAINT = 'archived_sessions_elsewhere',
            MESSAGE = 'a session with this id is in the archive of another project';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER id_is_not_archived AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION relive_id_is_not_archived();

-- Sessions that came back from the archive, which rules leave alone for some time.
CREATE TABLE restored_sessions (
    session_id  uuid PRIMARY KEY CONSTRAINT restored_sessions_session REFERENCES sessions ON DELETE CASCADE,
    restored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
