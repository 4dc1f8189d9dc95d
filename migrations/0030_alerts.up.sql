-- Alerts: conditions on the runs of a project, of which webhooks and people are told when they begin to hold, and when
-- they no longer do.
CREATE TABLE alerts (
    id          uuid PRIMARY KEY,
    project_id  text NOT NULL CONSTRAINT alerts_project REFERENCES projects,
    name        text NOT NULL,
    -- As clients give it.
    condition   jsonb NOT NULL,
    -- A filter. NULL: any.
    workflow_id uuid,
    group_id    uuid,
    tag         text,
    -- Webhooks that are told besides those that ask for it. They may have been deleted.
    webhook_ids uuid[] NOT NULL,
    emails      text[] NOT NULL,
    enabled     boolean NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    -- Changes with every change of the fields, so that what was found for others does not count.
    version     bigint NOT NULL DEFAULT 1,
    -- NULL: it is not raised.
    raised_at   timestamptz,
    -- The number of its last event.
    number      bigint NOT NULL DEFAULT 0,
    -- When it is looked at next, by whichever server comes first: that moves it on at once. NULL: it is neither enabled
    -- nor raised.
    due_at      timestamptz,
    -- Of a condition on slow runs: what they are compared with, and when that was found.
    p99_ms      bigint,
    runs        bigint,
    compared_at timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX idx_alerts_project ON alerts (project_id, created_at DESC, id DESC);
CREATE INDEX idx_alerts_due ON alerts (due_at) WHERE due_at IS NOT NULL;
CREATE TRIGGER alerts_in_project BEFORE INSERT ON alerts FOR EACH ROW EXECUTE FUNCTION relive_in_project();

-- When alerts were raised and resolved. Written together with what webhooks and people are sent of it.
CREATE TABLE alert_events (
    alert_id  uuid NOT NULL CONSTRAINT alert_events_alert REFERENCES alerts ON DELETE CASCADE,
    number    bigint NOT NULL,
    type      text NOT NULL CONSTRAINT alert_events_type CHECK (type IN ('raised', 'resolved')),
    at        timestamptz NOT NULL,
    condition jsonb NOT NULL,
    -- What was found. NULL: the alert is not enabled any more.
    observed  jsonb,
    PRIMARY KEY (alert_id, number)
);

-- E-mails about these events: what is to be sent, and what was. One for each recipient, so that one whose address is
-- refused holds up nobody.
CREATE TABLE alert_emails (
    -- In the Message-ID of every attempt.
    id              uuid PRIMARY KEY,
    alert_id        uuid NOT NULL,
    number          bigint NOT NULL,
    recipient       text NOT NULL,
    subject         text NOT NULL,
    body            text NOT NULL,
    status          text NOT NULL CONSTRAINT alert_emails_status CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    -- Of a pending one: not before. Whoever sends it moves this on first, so that no other server does so meanwhile.
    next_attempt_at timestamptz,
    last_attempt_at timestamptz,
    error           text,
    created_at      timestamptz NOT NULL,
    -- In the order in which a recipient is sent them.
    CONSTRAINT alert_emails_recipient UNIQUE (alert_id, recipient, number),
    CONSTRAINT alert_emails_event FOREIGN KEY (alert_id, number) REFERENCES alert_events ON DELETE CASCADE
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX idx_alert_emails_event ON alert_emails (alert_id, number);
CREATE INDEX idx_alert_emails_due ON alert_emails (next_attempt_at) WHERE status = 'pending';

-- Of a delivery that is about an alert. `session_id` has the same id and `revision` the number of the event, so that
-- those of an alert are sent in order, as those of a session are.
ALTER TABLE webhook_deliveries ADD COLUMN alert_id uuid;

-- The failed runs of a project, the last ones first. They are few, and others need no entry.
CREATE INDEX idx_ended_runs_failed ON ended_runs (project_id, ended_at) WHERE status = 'failed';
