-- Which sessions were being driven when their server went away: a run that takes one server down after
-- the other is stopped with a reason, and not taken up for ever.
ALTER TABLE session_leases
    -- The revision at which the holder took the session up.
    ADD COLUMN taken_revision bigint,
    -- How often in a row it was taken from a holder that had gone away, without having moved on since.
    ADD COLUMN crashes integer NOT NULL DEFAULT 0;
