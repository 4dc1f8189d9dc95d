ALTER TABLE session_leases DROP COLUMN crashes, DROP COLUMN taken_revision;
