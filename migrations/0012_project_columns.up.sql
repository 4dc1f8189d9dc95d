-- What is stored belongs to a project; what was there before, to `default`. New columns with a constant
-- default take no time, however many rows there are. The indexes of lists follow without a lock: the
-- server builds them beside the old ones (`session_list/indexes.rs`).
ALTER TABLE groups ADD COLUMN project_id text NOT NULL DEFAULT 'default';
ALTER TABLE agents ADD COLUMN project_id text NOT NULL DEFAULT 'default';
ALTER TABLE workflows ADD COLUMN project_id text NOT NULL DEFAULT 'default';
ALTER TABLE sessions ADD COLUMN project_id text NOT NULL DEFAULT 'default';
ALTER TABLE memories ADD COLUMN project_id text NOT NULL DEFAULT 'default';

-- Who sent the command that led to an event: `{kind, id, name}`.
ALTER TABLE session_events ADD COLUMN actor json;

-- The catalog is small.
DROP INDEX idx_groups_created;
DROP INDEX idx_agents_created;
DROP INDEX idx_workflows_created;
CREATE INDEX idx_groups_created ON groups (project_id, created_at DESC, id DESC);
CREATE INDEX idx_agents_created ON agents (project_id, created_at DESC, id DESC);
CREATE INDEX idx_workflows_created ON workflows (project_id, created_at DESC, id DESC);

-- Nothing refers to a group or workflow of another project. Not validated, which would read all sessions
-- under a lock: the rows that are there were checked by the constraints before.
ALTER TABLE groups ADD CONSTRAINT groups_project UNIQUE (project_id, id);
ALTER TABLE workflows ADD CONSTRAINT workflows_project UNIQUE (project_id, id);
ALTER TABLE workflows DROP CONSTRAINT workflows_group;
ALTER TABLE workflows ADD CONSTRAINT workflows_group FOREIGN KEY (project_id, group_id)
    REFERENCES groups (project_id, id) ON DELETE CASCADE NOT VALID;
ALTER TABLE sessions DROP CONSTRAINT sessions_group;
ALTER TABLE sessions ADD CONSTRAINT sessions_group FOREIGN KEY (project_id, group_id)
    REFERENCES groups (project_id, id) ON DELETE CASCADE NOT VALID;
ALTER TABLE sessions DROP CONSTRAINT sessions_workflow;
ALTER TABLE sessions ADD CONSTRAINT sessions_workflow FOREIGN KEY (project_id, workflow_id)
    REFERENCES workflows (project_id, id) NOT VALID;
ALTER TABLE memories DROP CONSTRAINT memories_group;
ALTER TABLE memories ADD CONSTRAINT memories_group FOREIGN KEY (project_id, group_id)
    REFERENCES groups (project_id, id) ON DELETE CASCADE NOT VALID;
