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
