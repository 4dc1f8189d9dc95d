-- Secrets of a webhook from before its rotation, the latest first, and until when they sign too. Rotations of a server of
-- the version before do not exist; what it sends is signed with `secret` alone.
ALTER TABLE webhooks
    ADD COLUMN previous_secrets       bytea[] NOT NULL DEFAULT '{}',
    ADD COLUMN previous_secrets_until timestamptz[] NOT NULL DEFAULT '{}';
