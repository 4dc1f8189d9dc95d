-- Which ended sessions the servers delete by themselves.
CREATE TABLE retention (
    project_id text PRIMARY KEY CONSTRAINT retention_project REFERENCES projects ON DELETE CASCADE,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When a server applies the rules. Whoever does so moves it on, so that no other does the same, and a crash gives
    -- it back by itself.
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When all rules were last applied to the end.
    applied_at timestamptz,
    -- Sessions removed, by rules that are not there any more too.
    removed    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE TABLE retention_rules (
    project_id      text NOT NULL CONSTRAINT retention_rules_retention REFERENCES retention ON DELETE CASCADE,
    -- As it was given. The same rule stays the same one when the rules are replaced.
    rule            jsonb NOT NULL,
    position        integer NOT NULL,
    removed         bigint NOT NULL DEFAULT 0,
    last_removed_at timestamptz,
    PRIMARY KEY (project_id, rule)
) WITH (fillfactor = 70);
