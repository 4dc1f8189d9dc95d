-- Schedules: workflows that are run at times.
CREATE TABLE schedules (
    id               uuid PRIMARY KEY,
    project_id       text NOT NULL CONSTRAINT schedules_project REFERENCES projects,
    workflow_id      uuid NOT NULL CONSTRAINT schedules_workflow REFERENCES workflows ON DELETE CASCADE,
    name             text,
    cron             text NOT NULL,
    timezone         text NOT NULL,
    inputs           jsonb,
    overlap          text NOT NULL,
    enabled          boolean NOT NULL,
    catch_up_seconds bigint NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    -- NULL: never again, or not enabled.
    next_at          timestamptz,
    -- The server that looks at it, and until when the others leave it alone.
    claimed_until    timestamptz NOT NULL DEFAULT '-infinity',
    -- The last time it was due, and what came of it.
    last_at          timestamptz,
    last_outcome     text,
    last_error       text,
    last_session_id  uuid
) WITH (fillfactor = 70);
CREATE INDEX idx_schedules_project ON schedules (project_id, created_at DESC, id DESC);
CREATE INDEX idx_schedules_next ON schedules (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX idx_schedules_workflow ON schedules (workflow_id);
CREATE TRIGGER schedules_in_project BEFORE INSERT ON schedules FOR EACH ROW EXECUTE FUNCTION relive_in_project();

-- The runs of a schedule, so that those that have not ended are found whatever becomes of their labels.
CREATE TABLE schedule_runs (
    schedule_id uuid NOT NULL CONSTRAINT schedule_runs_schedule REFERENCES schedules ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    session_id  uuid NOT NULL,
    PRIMARY KEY (schedule_id, at)
);
