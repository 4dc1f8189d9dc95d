DROP FUNCTION relive_prune_audit(interval, bigint, integer);
DROP TABLE audit_log;
DROP FUNCTION relive_keep_audit();
DROP TABLE sign_ins;
DROP TABLE revoked_tokens;
DROP TABLE signing_keys;
DROP TABLE api_keys;
DROP TABLE projects;
