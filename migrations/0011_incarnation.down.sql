ALTER TABLE sessions DROP COLUMN incarnation;
