DROP INDEX idx_session_leases_wake;

-- The index goes with its column: that of the version before is made again.
ALTER TABLE sessions DROP COLUMN is_parked;
CREATE INDEX IF NOT EXISTS idx_sessions_driven ON sessions (created_at)
    WHERE driver = 'builtin' AND status IN ('running', 'paused');
