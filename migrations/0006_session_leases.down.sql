DROP INDEX idx_sessions_driven;
DROP TABLE session_leases;
