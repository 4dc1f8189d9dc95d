-- Which server drives a session with the built-in engine. A lease that is not renewed ends by itself,
-- so that a server that died loses its sessions, and no two servers drive one at the same time.
CREATE TABLE session_leases (
    session_id      uuid PRIMARY KEY CONSTRAINT session_leases_session REFERENCES sessions ON DELETE CASCADE,
    -- NULL: nobody, because there is nothing to do but to wait.
    holder          uuid,
    expires_at      timestamptz NOT NULL,
    -- Nothing is to be done before the session has moved beyond this revision, or this time has come.
    parked_revision bigint,
    wake_at         timestamptz
);
CREATE INDEX idx_session_leases_holder ON session_leases (holder) WHERE holder IS NOT NULL;

-- The sessions that somebody has to drive; few, among all.
CREATE INDEX idx_sessions_driven ON sessions (updated_at) WHERE driver = 'builtin' AND status IN ('running', 'paused');
