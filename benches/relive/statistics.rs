//! Statistics of many runs, beside a plain query over all of them. `RUNS=n` says how many (1,000,000): nine in ten
//! ended in the year before today, and one in ten today.

use std::time::{Duration, Instant};

use relive::storage::{Grouping, RunPeriod, Storage, Width};
use relive_session::{ProjectId, Timestamp};
use sqlx::{AssertSqlSafe, PgPool};

use super::support::{Server, Table, millis};

const YEAR: Duration = Duration::from_hours(364 * 24);
const MONTH: Duration = Duration::from_hours(30 * 24);
/// Each is measured this often; the median counts.
const TIMES: usize = 5;

const FILL: &str = "
    INSERT INTO ended_runs
    SELECT gen_random_uuid(), 'default', ended, (ARRAY['completed', 'completed', 'completed', 'failed', 'cancelled'])[1 + n % 5],
        (random() * random() * 600000)::bigint, n % 5000, (n % 5000) * 0.000002,
        lpad(to_hex(1 + n % 20), 32, '0')::uuid, lpad(to_hex(1 + n % 5), 32, '0')::uuid,
        CASE WHEN n % 2 = 0 THEN ARRAY['nightly', 'tag' || n % 10] END,
        ARRAY['model' || n % 2, 'model' || 2 + n % 3], ARRAY[n % 3000, n % 2000], ARRAY[0.001, 0.002]
    FROM generate_series(1, {runs}) AS n, LATERAL (SELECT date_trunc('day', now(), 'UTC') + CASE
        WHEN n <= {runs} * 0.9 THEN (n / ({runs} * 0.9) - 1) * interval '8736 hours'
        ELSE (n / {runs}.0 - 0.9) * 10 * (now() - date_trunc('day', now(), 'UTC')) END) AS t (ended)";

const PLAIN: &str = "
    SELECT date_bin('24 hours', ended_at, 'epoch') AS bucket, count(*) FILTER (WHERE status = 'completed'),
        percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms), sum(total_tokens),
        sum(total_cost_usd)
    FROM ended_runs WHERE project_id = 'default' GROUP BY 1";

pub fn run(server: &Server, table: &mut Table) {
    let runs: u64 = std::env::var("RUNS").map_or(1_000_000, |number| number.parse().expect("a number"));
    let storage = server.database("statistics");
    server.runtime.block_on(async {
        let began = Instant::now();
        execute(storage.pool(), &FILL.replace("{runs}", &runs.to_string())).await;
        execute(storage.pool(), "VACUUM ANALYZE ended_runs").await;
        let filled = began.elapsed();
        storage.rebuild_statistics(false, |_| ()).await.expect("added up");
        let added_up = began.elapsed() - filled;
        execute(storage.pool(), "VACUUM ANALYZE run_statistics").await;
        let plain = median(async || execute(storage.pool(), PLAIN).await).await;
        let now = Timestamp::now();
        let today = Timestamp::from_millis(now.as_millis() / 86_400_000 * 86_400_000).expect("a time");
        for (name, before, to, width, grouping) in [
            ("a year by day", YEAR, today, Width::Day, Grouping::All),
            ("a year by day and workflow", YEAR, today, Width::Day, Grouping::Workflow),
            ("a year by day, with today", YEAR, now, Width::Day, Grouping::All),
            ("a year by day and model, with today", YEAR, now, Width::Day, Grouping::Model),
            ("a month by hour", MONTH, now, Width::Hour, Grouping::All),
            ("an hour by minute", Duration::from_hours(1), now, Width::Minute, Grouping::All),
        ] {
            let period = RunPeriod { from: today.before(before).expect("a time"), to, width };
            let period = if width == Width::Minute {
                RunPeriod { from: now.before(before).expect("a time"), ..period }
            } else {
                period
            };
            let took = median(async || ask(&storage, &period, grouping).await).await;
            table.row(
                &format!("statistics of {runs} runs: {name}"),
                format!("{:.1} ms", millis(took)),
                format!("{:.0} ms, plainly by day", millis(plain)),
                format!("{:.0} ×", plain.as_secs_f64() / took.as_secs_f64()),
                "",
            );
        }
        table.note(format!("{runs} runs were stored in {filled:.1?}, and added up in {added_up:.1?}"));
    });
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.expect("executed");
}

async fn ask(storage: &Storage, period: &RunPeriod, grouping: Grouping) {
    storage.run_statistics(&ProjectId::default(), period, grouping, 20_001).await.expect("statistics");
}

async fn median(work: impl AsyncFn()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        work().await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[TIMES / 2]
}
