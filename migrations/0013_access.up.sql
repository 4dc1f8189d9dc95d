-- Who may use the server. All tables are new, so that nothing that exists is locked or rewritten.

CREATE TABLE projects (
    -- A slug, as in `relive keys create --project`.
    id         text PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX idx_projects_created ON projects (created_at DESC, id DESC);
INSERT INTO projects (id, name, created_at, updated_at)
    VALUES ('default', 'Default', date_trunc('milliseconds', now()), date_trunc('milliseconds', now()));

-- Keys of programs. A key itself is shown once; what is stored cannot be used. A revoked key keeps its row: as
-- long as there is one, access control stays on.
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    project_id   text NOT NULL CONSTRAINT api_keys_project REFERENCES projects ON DELETE CASCADE,
    name         text NOT NULL,
    role         text NOT NULL,
    -- How the key begins, for people.
    prefix       text NOT NULL,
    -- SHA-256.
    hash         bytea NOT NULL CONSTRAINT api_keys_hash UNIQUE,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    -- Written once a minute at most. No index: the update stays within the page.
    last_used_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX idx_api_keys_project ON api_keys (project_id, created_at DESC, id DESC);

-- Secrets that sign access tokens. The newest signs; the one before is still accepted.
CREATE TABLE signing_keys (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The `kid` of the tokens.
    id         text NOT NULL CONSTRAINT signing_keys_id UNIQUE,
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Access tokens that were revoked before they expired; forgotten when they have.
CREATE TABLE revoked_tokens (
    project_id text NOT NULL CONSTRAINT revoked_tokens_project REFERENCES projects ON DELETE CASCADE,
    -- The `jti` of the token.
    id         uuid NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX idx_revoked_tokens_expiry ON revoked_tokens (expires_at);

-- Sign-ins of the dashboard. The browser has a cookie, of which the SHA-256 is stored.
CREATE TABLE sign_ins (
    id         uuid PRIMARY KEY,
    hash       bytea NOT NULL CONSTRAINT sign_ins_hash UNIQUE,
    project_id text NOT NULL CONSTRAINT sign_ins_project REFERENCES projects ON DELETE CASCADE,
    actor_kind text NOT NULL,
    actor_id   text NOT NULL,
    actor_name text NOT NULL,
    -- Either a role, or the scopes of a token.
    role       text,
    scopes     text[],
    -- What the sign-in was made with, and ends with: a key or an access token.
    key_id     uuid CONSTRAINT sign_ins_key REFERENCES api_keys ON DELETE CASCADE,
    token_id   uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_sign_ins_expiry ON sign_ins (expires_at);
CREATE INDEX idx_sign_ins_key ON sign_ins (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX idx_sign_ins_token ON sign_ins (token_id) WHERE token_id IS NOT NULL;

-- Who did what. Rows are only added, and removed by `relive_prune_audit`.
CREATE TABLE audit_log (
    -- The order of writing, which is that of committing too: writers take turns.
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid NOT NULL CONSTRAINT audit_log_id UNIQUE,
    at         timestamptz NOT NULL,
    -- NULL: a request that was refused before its project was known. No reference: the log outlives projects.
    project_id text,
    actor_kind text,
    actor_id   text,
    actor_name text,
    action     text NOT NULL,
    resource   text NOT NULL,
    ip         text,
    request_id text,
    outcome    text NOT NULL,
    -- Of refusals that came too fast to be recorded one by one, the number that this row stands for.
    repeated   bigint NOT NULL DEFAULT 1
);
CREATE INDEX idx_audit_log_project ON audit_log (project_id, number);
CREATE INDEX idx_audit_log_actor ON audit_log (project_id, actor_id, number);
CREATE INDEX idx_audit_log_action ON audit_log (project_id, action, number);

CREATE FUNCTION relive_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stack text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        GET DIAGNOSTICS stack = PG_CONTEXT;
        -- The names of functions are the part of it that is not translated.
        IF position('relive_prune_audit(interval,bigint,integer)' IN stack) > 0 THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'RL003';
END
$$;

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION relive_keep_audit();
-- Also for replication and for `session_replication_role`.
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_append_only;

-- Removes the oldest rows that are older than `age`, or beyond the newest `kept`; at most `batch` of them.
-- Returns how many. What is younger than a day and among the newest thousand stays, whatever is asked for.
CREATE FUNCTION relive_prune_audit(age interval, kept bigint, batch integer) RETURNS bigint LANGUAGE plpgsql AS $$
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
