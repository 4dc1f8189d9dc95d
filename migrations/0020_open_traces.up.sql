-- Sessions of traces that have not ended. The servers end them when nothing comes any more. There is no reference
-- to the session: a trace is noted before its session is made.
CREATE TABLE open_traces (
    session_id uuid PRIMARY KEY,
    project_id text NOT NULL CONSTRAINT open_traces_project REFERENCES projects ON DELETE CASCADE,
    noted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When a server looks whether it has ended.
    look_at    timestamptz NOT NULL
);
CREATE INDEX idx_open_traces_look ON open_traces (look_at);
