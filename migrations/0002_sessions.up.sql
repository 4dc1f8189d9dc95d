-- The journal is the truth; `sessions` is what lists and filters read, written with it in one
-- statement.

CREATE TABLE sessions (
    id                   uuid PRIMARY KEY,
    group_id             uuid CONSTRAINT sessions_group REFERENCES groups ON DELETE CASCADE,
    -- No cascade: a workflow that sessions were made from cannot be deleted.
    workflow_id          uuid CONSTRAINT sessions_workflow REFERENCES workflows,
    workflow_name        text,
    status               text NOT NULL CONSTRAINT sessions_status CHECK
        (status IN ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled')),
    driver               text NOT NULL,
    proposal             jsonb,
    inputs               jsonb,
    outputs              jsonb,
    node_statuses        jsonb NOT NULL DEFAULT '{}',
    -- How many nodes stand in each status, so that a list need not read every node.
    node_counts          jsonb NOT NULL DEFAULT '{}',
    revision             bigint NOT NULL,
    total_tokens         bigint NOT NULL DEFAULT 0,
    total_cost_usd       numeric NOT NULL DEFAULT 0,
    error                text,
    parent_id            uuid,
    forked_from_revision bigint,
    -- The Idempotency-Key the session was created with.
    creation_key         text CONSTRAINT sessions_creation_key UNIQUE,
    started_at           timestamptz,
    ended_at             timestamptz,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL
);

-- Every list is ordered newest first by (created_at, id); each filter has an index in that order.
CREATE INDEX idx_sessions_created ON sessions (created_at DESC, id DESC);
CREATE INDEX idx_sessions_group ON sessions (group_id, created_at DESC, id DESC);
CREATE INDEX idx_sessions_workflow ON sessions (workflow_id, created_at DESC, id DESC);
CREATE INDEX idx_sessions_status ON sessions (status, created_at DESC, id DESC);
CREATE INDEX idx_sessions_updated ON sessions (updated_at);
CREATE INDEX idx_sessions_started ON sessions (started_at);
CREATE INDEX idx_sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- A GIN index over a row that changes all the time would cost every change its whole graph. So
-- only ended sessions are in it, which never change again; the live ones are few and are scanned.
CREATE INDEX idx_sessions_ended_node_statuses ON sessions USING gin (node_statuses jsonb_path_ops)
    WHERE ended_at IS NOT NULL;
CREATE INDEX idx_sessions_live ON sessions (created_at DESC, id DESC) WHERE ended_at IS NULL;

-- Live sessions are updated often.
ALTER TABLE sessions SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- The journal. Its primary key is also the fence between writers: whoever loses the race for a
-- revision has to read what the other wrote and decide again. `event` is `json` and not `jsonb`:
-- it is replayed as it was written, and never searched.
CREATE TABLE session_events (
    session_id uuid NOT NULL CONSTRAINT session_events_session REFERENCES sessions ON DELETE CASCADE,
    revision   bigint NOT NULL,
    at         timestamptz NOT NULL,
    -- Names the write this event came with: after a lost connection the writer looks for it.
    batch      bigint NOT NULL,
    event      json NOT NULL,
    CONSTRAINT session_events_pkey PRIMARY KEY (session_id, revision)
);

-- Which command ids a session has carried out, and the revision each was answered with.
CREATE TABLE session_commands (
    session_id uuid NOT NULL CONSTRAINT session_commands_session REFERENCES sessions ON DELETE CASCADE,
    command_id text NOT NULL,
    revision   bigint NOT NULL,
    CONSTRAINT session_commands_pkey PRIMARY KEY (session_id, command_id)
);

-- Whole states, so that recovery and seeking read a keyframe and its tail. A cache: it can be
-- emptied at any time.
CREATE TABLE session_keyframes (
    session_id uuid NOT NULL CONSTRAINT session_keyframes_session REFERENCES sessions ON DELETE CASCADE,
    revision   bigint NOT NULL,
    state      json NOT NULL,
    PRIMARY KEY (session_id, revision)
);

-- Tokens and cost, added up as they are recorded; an agent or model that was not named is ''.
CREATE TABLE session_usage (
    session_id    uuid NOT NULL CONSTRAINT session_usage_session REFERENCES sessions ON DELETE CASCADE,
    node_id       text NOT NULL,
    agent_id      text NOT NULL,
    model         text NOT NULL,
    calls         bigint NOT NULL,
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_usd      numeric NOT NULL,
    PRIMARY KEY (session_id, node_id, agent_id, model)
);

-- Raised by a batch whose projection was not where the writer believed it to be.
CREATE FUNCTION relive_fence(updated bigint, expected bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF updated <> expected THEN
        RAISE EXCEPTION 'another writer has moved a session on' USING ERRCODE = 'RL001';
    END IF;
END
$$;
