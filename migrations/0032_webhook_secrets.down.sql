ALTER TABLE webhooks DROP COLUMN previous_secrets, DROP COLUMN previous_secrets_until;
