-- A write that comes to the database after its deadline takes no effect: its client was told that it
-- would not, and a connection that hung may bring it at any time later. The function of two arguments
-- stays for servers of the version before.
--
-- `written` is not looked at: it makes the statement wait for its other rows before the clock is read.
CREATE FUNCTION relive_fence(updated bigint, expected bigint, deadline timestamptz, written bigint)
RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    IF updated <> expected THEN
        RAISE EXCEPTION 'another writer has moved a session on' USING ERRCODE = 'RL001';
    END IF;
    IF clock_timestamp() > deadline THEN
        RAISE EXCEPTION 'the write came too late' USING ERRCODE = 'RL002';
    END IF;
    RETURN clock_timestamp();
END
$$;
