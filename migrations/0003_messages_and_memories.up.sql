-- What a run says and remembers.

CREATE TABLE session_messages (
    id          uuid PRIMARY KEY,
    session_id  uuid NOT NULL CONSTRAINT session_messages_session REFERENCES sessions ON DELETE CASCADE,
    revision    bigint NOT NULL,
    node_id     text NOT NULL,
    agent_id    text,
    -- As it was when the message was written.
    agent_name  text,
    role        text NOT NULL,
    content     text NOT NULL,
    token_count bigint NOT NULL DEFAULT 0,
    is_thinking boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL
);
CREATE INDEX idx_session_messages_session ON session_messages (session_id, revision);
-- Within a session, times never decrease along revisions: the same order, for reading page by page.
CREATE INDEX idx_session_messages_created ON session_messages (session_id, created_at, revision);

CREATE EXTENSION IF NOT EXISTS vector;

-- The dimension is a setting, so the column has none; the server keeps an index over that many
-- dimensions (idx_memories_embedding).
CREATE TABLE memories (
    id         uuid PRIMARY KEY,
    group_id   uuid CONSTRAINT memories_group REFERENCES groups ON DELETE CASCADE,
    agent_id   text,
    session_id uuid CONSTRAINT memories_session REFERENCES sessions ON DELETE CASCADE,
    content    text NOT NULL,
    embedding  vector,
    metadata   jsonb,
    created_at timestamptz NOT NULL
);
CREATE INDEX idx_memories_group ON memories (group_id);
CREATE INDEX idx_memories_session ON memories (session_id);
