ALTER TABLE memories DROP CONSTRAINT memories_group;
ALTER TABLE memories ADD CONSTRAINT memories_group FOREIGN KEY (group_id) REFERENCES groups ON DELETE CASCADE;
ALTER TABLE sessions DROP CONSTRAINT sessions_workflow;
ALTER TABLE sessions ADD CONSTRAINT sessions_workflow FOREIGN KEY (workflow_id) REFERENCES workflows;
ALTER TABLE sessions DROP CONSTRAINT sessions_group;
ALTER TABLE sessions ADD CONSTRAINT sessions_group FOREIGN KEY (group_id) REFERENCES groups ON DELETE CASCADE;
ALTER TABLE workflows DROP CONSTRAINT workflows_group;
ALTER TABLE workflows ADD CONSTRAINT workflows_group FOREIGN KEY (group_id) REFERENCES groups ON DELETE CASCADE;
ALTER TABLE workflows DROP CONSTRAINT workflows_project;
ALTER TABLE groups DROP CONSTRAINT groups_project;

-- Indexes go with their column: those of the version before are made again.
ALTER TABLE memories DROP COLUMN project_id;
ALTER TABLE sessions DROP COLUMN project_id;
ALTER TABLE workflows DROP COLUMN project_id;
ALTER TABLE agents DROP COLUMN project_id;
ALTER TABLE groups DROP COLUMN project_id;
ALTER TABLE session_events DROP COLUMN actor;

CREATE INDEX idx_groups_created ON groups (created_at DESC, id DESC);
CREATE INDEX idx_agents_created ON agents (created_at DESC, id DESC);
CREATE INDEX idx_workflows_created ON workflows (created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS idx_sessions_created ON sessions (created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS idx_sessions_status ON sessions (status, created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS idx_sessions_updated ON sessions (updated_at);
CREATE INDEX IF NOT EXISTS idx_sessions_started ON sessions (started_at);
CREATE INDEX IF NOT EXISTS idx_sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_sessions_live ON sessions (created_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS idx_sessions_errors ON sessions (created_at DESC, id DESC) WHERE error IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_sessions_forks ON sessions (created_at DESC, id DESC) WHERE parent_id IS NOT NULL;
