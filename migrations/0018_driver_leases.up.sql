-- Leases of engines outside the server. A renewal changes a row here and not the history of the session: heartbeats
-- cost no revision. What the history says of leases is in the columns of `sessions`, as lists need it.
CREATE TABLE driver_leases (
    session_id uuid PRIMARY KEY CONSTRAINT driver_leases_session REFERENCES sessions ON DELETE CASCADE,
    -- When a server has to look at it: the end of the lease or, once one has seen that it has passed, the time
    -- until which the others leave it alone.
    due_at     timestamptz NOT NULL,
    is_claimed boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX idx_driver_leases_due ON driver_leases (due_at);

-- New columns without a default take no time, however many rows there are.
ALTER TABLE sessions
    ADD COLUMN driver_seen_at timestamptz,
    ADD COLUMN is_stalled boolean;
