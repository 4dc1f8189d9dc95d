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

-- A text as words for full-text search. Chinese and Japanese are written without spaces, so each of
-- their characters counts as a word; a search asks for neighbours (the server makes phrases of two).
-- What lies beyond 100,000 characters is not searched: a tsvector has an upper size, and a text that
-- broke it could not be stored at all.
CREATE FUNCTION relive_words(content text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('simple', regexp_replace(
        left(content, 100000),
        '([\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])',
        ' \1 ', 'g'))
$$;

-- The dimension is a setting, so the column has none; the server keeps an index over that many
-- dimensions (idx_memories_embedding).
CREATE TABLE memories (
    id          uuid PRIMARY KEY,
    group_id    uuid CONSTRAINT memories_group REFERENCES groups ON DELETE CASCADE,
    agent_id    text,
    session_id  uuid CONSTRAINT memories_session REFERENCES sessions ON DELETE CASCADE,
    content     text NOT NULL,
    words       tsvector GENERATED ALWAYS AS (relive_words(content)) STORED,
    embedding   vector,
    metadata    jsonb,
    created_at  timestamptz NOT NULL,
    -- When a memory without an embedding may next be taken up to get one. Whoever takes it up moves
    -- this on, so that no other instance does the same work, and a crash gives it back by itself.
    embed_after timestamptz NOT NULL DEFAULT '-infinity'
);
-- Searches are scoped, and small scopes are searched through these, row by row.
CREATE INDEX idx_memories_group ON memories (group_id);
CREATE INDEX idx_memories_agent ON memories (agent_id);
-- In the order in which a session's memories are listed.
CREATE INDEX idx_memories_session ON memories (session_id, created_at, id);
CREATE INDEX idx_memories_words ON memories USING gin (words);
CREATE INDEX idx_memories_unembedded ON memories (embed_after) WHERE embedding IS NULL;
