-- A run of the built-in engine that waits is marked in its own row, so that a server that looks for runs without a
-- driver does not read all that wait, once a second: only the others, and those whose time has come. Whoever writes the
-- session clears the mark. A server of the version before does not: marks are compared with the leases now and then.
--
-- A new column with a constant default takes no time. The index over it is built by the server.
ALTER TABLE sessions ADD COLUMN is_parked boolean NOT NULL DEFAULT false;

CREATE INDEX idx_session_leases_wake ON session_leases (wake_at) WHERE holder IS NULL AND wake_at IS NOT NULL;
