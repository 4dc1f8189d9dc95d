-- Tells a session from those that were stored under its id before it, also if both were created in the same
-- millisecond. Sessions from before, and those of servers of the version before, have none: 0. A constant
-- default is added without the table being written anew.
ALTER TABLE sessions ADD COLUMN incarnation bigint NOT NULL DEFAULT 0;
