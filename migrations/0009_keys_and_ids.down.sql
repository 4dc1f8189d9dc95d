-- Ids that are no UUIDs become ones, the same for the same message.
CREATE FUNCTION relive_uuid_of(owner uuid, id text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN id::uuid ELSE md5(owner::text || id)::uuid END
$$;
ALTER TABLE ancestor_messages ALTER COLUMN id TYPE uuid USING relive_uuid_of(ancestor_id, id);
ALTER TABLE session_messages DROP CONSTRAINT session_messages_pkey;
-- Of messages in several sessions with one id, each but one gets another.
UPDATE session_messages AS message SET id = md5(message.session_id::text || message.id)::uuid::text
    WHERE EXISTS (SELECT FROM session_messages AS other
                  WHERE other.id = message.id AND other.session_id < message.session_id);
ALTER TABLE session_messages ALTER COLUMN id TYPE uuid USING relive_uuid_of(session_id, id);
ALTER TABLE session_messages ADD CONSTRAINT session_messages_pkey PRIMARY KEY (id);
DROP FUNCTION relive_uuid_of(uuid, text);
DROP TABLE idempotency_keys;
