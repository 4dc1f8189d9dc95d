DROP INDEX idx_ended_runs_failed;
DELETE FROM webhook_deliveries WHERE alert_id IS NOT NULL;
ALTER TABLE webhook_deliveries DROP COLUMN alert_id;
DROP TABLE alert_emails;
DROP TABLE alert_events;
DROP TABLE alerts;
UPDATE webhooks SET types = array_remove(array_remove(types, 'alert.raised'), 'alert.resolved');
