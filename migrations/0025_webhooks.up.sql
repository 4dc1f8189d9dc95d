-- Webhooks: addresses that are told of events by POST.
CREATE TABLE webhooks (
    id              uuid PRIMARY KEY,
    project_id      text NOT NULL CONSTRAINT webhooks_project REFERENCES projects,
    url             text NOT NULL,
    types           text[] NOT NULL,
    -- A filter. NULL: any.
    group_id        uuid,
    workflow_id     uuid,
    tag             text,
    -- The key of the signatures, which has to be known to make them.
    secret          bytea NOT NULL,
    enabled         boolean NOT NULL,
    disabled_reason text,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    -- The server that sends its deliveries, and until when no other one does.
    holder          uuid,
    leased_until    timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 70);
CREATE INDEX idx_webhooks_project ON webhooks (project_id, created_at DESC, id DESC);
CREATE TRIGGER webhooks_in_project BEFORE INSERT ON webhooks FOR EACH ROW EXECUTE FUNCTION relive_in_project();

-- Events that were committed and that no deliveries were made of yet. Rows are written by the commit of the event, and
-- only if a webhook of the project asks for its type. They are consumed by deletion and not by a position, so the order
-- of commits does not matter. Times never decrease along the revisions of a session: the key is in their order.
CREATE TABLE webhook_outbox (
    at         timestamptz NOT NULL,
    session_id uuid NOT NULL,
    revision   bigint NOT NULL,
    project_id text NOT NULL,
    type       text NOT NULL,
    node_id    text,
    PRIMARY KEY (at, session_id, revision)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- What is to be sent, and what was. There is no reference to the session: what has happened is told also after the
-- session was deleted.
CREATE TABLE webhook_deliveries (
    -- The `webhook-id` of every attempt.
    id              uuid PRIMARY KEY,
    webhook_id      uuid NOT NULL CONSTRAINT webhook_deliveries_webhook REFERENCES webhooks ON DELETE CASCADE,
    type            text NOT NULL,
    -- NULL: a test.
    session_id      uuid,
    revision        bigint,
    -- When it was recorded. Another session may be stored under the id of a deleted one, with the same revisions.
    event_at        timestamptz NOT NULL,
    body            text NOT NULL,
    status          text NOT NULL CONSTRAINT webhook_deliveries_status CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    -- Attempts since it was last asked for: these follow the schedule.
    tries           integer NOT NULL DEFAULT 0,
    -- Of a pending delivery: not before.
    next_attempt_at timestamptz,
    last_attempt_at timestamptz,
    response_status integer,
    error           text,
    duration_ms     bigint,
    created_at      timestamptz NOT NULL,
    -- In the order in which they are sent.
    CONSTRAINT webhook_deliveries_event UNIQUE (webhook_id, session_id, event_at, revision)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX idx_webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX idx_webhook_deliveries_created ON webhook_deliveries (webhook_id, created_at DESC, id DESC);
CREATE INDEX idx_webhook_deliveries_age ON webhook_deliveries (created_at);
