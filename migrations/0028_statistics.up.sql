-- Statistics of runs that have ended. One narrow row for each, which outlives its session: what was run and what it
-- cost stays known when the session is deleted.
CREATE TABLE ended_runs (
    session_id     uuid PRIMARY KEY,
    project_id     text NOT NULL,
    ended_at       timestamptz NOT NULL,
    status         text NOT NULL,
    -- From the start to the end; NULL for one that was never started.
    duration_ms    bigint,
    total_tokens   bigint NOT NULL,
    total_cost_usd numeric NOT NULL,
    workflow_id    uuid,
    group_id       uuid,
    tags           text[],
    -- Tokens and cost by model, in the same order; NULL without usage. A model that was not named is ''.
    models         text[],
    model_tokens   bigint[],
    model_costs    numeric[]
);
CREATE INDEX idx_ended_runs_time ON ended_runs (project_id, ended_at);

-- The rows of `ended_runs` as the sessions say them that are stored now.
CREATE VIEW runs_to_count AS
SELECT id AS session_id, project_id, ended_at, status,
    CASE WHEN started_at IS NOT NULL
        THEN GREATEST(0, round(extract(epoch FROM ended_at - started_at) * 1000))::bigint END AS duration_ms,
    total_tokens, total_cost_usd, workflow_id, group_id, tags, used.models, used.model_tokens, used.model_costs
FROM sessions LEFT JOIN LATERAL (
    SELECT array_agg(model ORDER BY model) AS models, array_agg(tokens ORDER BY model) AS model_tokens,
        array_agg(cost ORDER BY model) AS model_costs
    FROM (
        SELECT model, LEAST(sum(input_tokens::numeric + output_tokens), 9223372036854775807)::bigint AS tokens,
            sum(cost_usd) AS cost
        FROM session_usage WHERE session_id = sessions.id GROUP BY model
    ) AS by_model
) AS used ON true
WHERE ended_at IS NOT NULL;

-- The runs by each of their groups. A run with two tags is there twice under 'tag'; the key is '' for runs without one.
CREATE VIEW ended_runs_by AS
SELECT 'all' AS grouping, project_id, ended_at, '' AS key, status, duration_ms, total_tokens, total_cost_usd
FROM ended_runs
UNION ALL
SELECT 'workflow', project_id, ended_at, COALESCE(workflow_id::text, ''), status, duration_ms, total_tokens,
    total_cost_usd
FROM ended_runs
UNION ALL
SELECT 'group', project_id, ended_at, COALESCE(group_id::text, ''), status, duration_ms, total_tokens, total_cost_usd
FROM ended_runs
UNION ALL
SELECT 'tag', project_id, ended_at, tag, status, duration_ms, total_tokens, total_cost_usd
FROM ended_runs CROSS JOIN LATERAL unnest(COALESCE(NULLIF(tags, '{}'), '{""}')) AS tag
UNION ALL
SELECT 'model', project_id, ended_at, used.model, status, duration_ms, used.tokens, used.cost
FROM ended_runs CROSS JOIN LATERAL unnest(
    COALESCE(models, '{""}'), COALESCE(model_tokens, ARRAY[total_tokens]), COALESCE(model_costs, ARRAY[total_cost_usd])
) AS used (model, tokens, cost);

-- Whole hours and days added up, which requests read instead of their runs. A cache: it can be emptied at any time if
-- all that was in it is noted in `statistics_stale`.
CREATE TABLE run_statistics (
    project_id     text NOT NULL,
    -- 'hour' or 'day', in UTC.
    width          text NOT NULL,
    grouping       text NOT NULL,
    bucket         timestamptz NOT NULL,
    key            text NOT NULL,
    completed      bigint NOT NULL,
    failed         bigint NOT NULL,
    cancelled      bigint NOT NULL,
    -- The 50th, 95th and 99th by rank, in milliseconds; NULL if no run was started.
    percentiles    bigint[],
    total_tokens   numeric NOT NULL,
    total_cost_usd numeric NOT NULL,
    PRIMARY KEY (project_id, width, grouping, bucket, key)
);

-- Runs that were added or changed, and that no row of `statistics_stale` stands for yet. A row for each and no key, so
-- that commits never wait for each other here. Whoever sees one sees its change of `ended_runs` too.
CREATE TABLE statistics_changes (
    project_id text NOT NULL,
    ended_at   timestamptz NOT NULL
);
CREATE INDEX idx_statistics_changes_time ON statistics_changes (project_id, ended_at);

-- Hours and days that `run_statistics` does not have as they are. Written by one server at a time.
CREATE TABLE statistics_stale (
    project_id text NOT NULL,
    width      text NOT NULL,
    bucket     timestamptz NOT NULL,
    PRIMARY KEY (project_id, width, bucket)
);

-- Counts these sessions, or counts them anew, as far as they have ended.
CREATE FUNCTION relive_count_runs(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Where they were counted before: at another time, or in another project, if the id was used again.
    INSERT INTO statistics_changes SELECT project_id, ended_at FROM ended_runs WHERE session_id = ANY(ids);
    WITH counted AS (
        INSERT INTO ended_runs SELECT * FROM runs_to_count WHERE session_id = ANY(ids)
        ON CONFLICT (session_id) DO UPDATE SET
            project_id = excluded.project_id, ended_at = excluded.ended_at, status = excluded.status,
            duration_ms = excluded.duration_ms, total_tokens = excluded.total_tokens,
            total_cost_usd = excluded.total_cost_usd, workflow_id = excluded.workflow_id,
            group_id = excluded.group_id, tags = excluded.tags, models = excluded.models,
            model_tokens = excluded.model_tokens, model_costs = excluded.model_costs
        RETURNING project_id, ended_at
    )
    INSERT INTO statistics_changes SELECT project_id, ended_at FROM counted;
END
$$;

CREATE FUNCTION relive_count_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM relive_count_runs(ARRAY[NEW.id]);
    RETURN NULL;
END
$$;
-- The commit that ends a run counts it, and so does whatever comes after the end: late usage, other tags. A change of a
-- run that goes on costs the look at its `ended_at`.
CREATE TRIGGER count_run AFTER UPDATE ON sessions FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION relive_count_run();
-- A fork of an ended session has ended too. At the commit, when its usage is there.
CREATE CONSTRAINT TRIGGER count_new_run AFTER INSERT ON sessions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.ended_at IS NOT NULL) EXECUTE FUNCTION relive_count_run();
