-- What sessions belong to and are made from.

CREATE TABLE groups (
    id                uuid PRIMARY KEY,
    name              text NOT NULL,
    icon              text,
    system_prompt     text,
    default_agent_ids uuid[],
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
CREATE INDEX idx_groups_created ON groups (created_at DESC, id DESC);

CREATE TABLE agents (
    id             uuid PRIMARY KEY,
    name           text NOT NULL,
    avatar         text,
    description    text,
    persona_prompt text NOT NULL,
    model_config   jsonb,
    capabilities   jsonb,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL
);
CREATE INDEX idx_agents_created ON agents (created_at DESC, id DESC);

-- The graph is `json` and not `jsonb`: it is given back as it was given.
CREATE TABLE workflows (
    id         uuid PRIMARY KEY,
    group_id   uuid CONSTRAINT workflows_group REFERENCES groups ON DELETE CASCADE,
    name       text NOT NULL,
    graph      json NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX idx_workflows_created ON workflows (created_at DESC, id DESC);
CREATE INDEX idx_workflows_group ON workflows (group_id);
