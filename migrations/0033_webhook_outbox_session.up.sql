-- A session that is deleted is first looked for in the outbox: what webhooks are sent is made of its history.
CREATE INDEX idx_webhook_outbox_session ON webhook_outbox (session_id);
