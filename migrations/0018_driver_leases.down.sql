-- The index of stalled sessions goes with its column.
ALTER TABLE sessions
    DROP COLUMN is_stalled,
    DROP COLUMN driver_seen_at;
DROP TABLE driver_leases;
