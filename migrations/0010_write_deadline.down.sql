DROP FUNCTION relive_fence(bigint, bigint, timestamptz, bigint);
