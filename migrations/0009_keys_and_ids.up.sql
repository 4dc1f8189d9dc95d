-- What was made under an Idempotency-Key, so that a repeated request answers as the first time.
-- `scope` is what is made; a key counts for one. Kept for two days.
CREATE TABLE idempotency_keys (
    scope      text NOT NULL,
    key        text NOT NULL,
    -- SHA-256 of the request: another request under the same key is refused.
    request    bytea NOT NULL,
    -- The id of what is made. Chosen before it is made, so that a repetition after a crash finds it.
    made       uuid NOT NULL,
    -- The first answer; NULL until it was given. `json` and not `jsonb`: it is given again as it was.
    answer     json,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_keys_claimed ON idempotency_keys (claimed_at);

-- The id of a message is free text, and counts for its session. The new key is also narrower to write to:
-- messages of one session stand together.
ALTER TABLE session_messages DROP CONSTRAINT session_messages_pkey;
ALTER TABLE session_messages ALTER COLUMN id TYPE text USING id::text;
ALTER TABLE session_messages ADD CONSTRAINT session_messages_pkey PRIMARY KEY (session_id, id);
ALTER TABLE ancestor_messages ALTER COLUMN id TYPE text USING id::text;
