//! Searching memories by vector within a group: ours beside the plain way.
//!
//! ```text
//! cargo bench --bench memories                    100,000 vectors of 384 numbers, some minutes
//! RELIVE_BENCH_ROWS=20000 cargo bench --bench memories
//! ```
//!
//! 1,000 groups whose sizes differ by orders of magnitude (the largest hold thousands of memories, the
//! smallest one or two); vectors in clusters, as texts on common topics are, and a group mostly on a
//! few topics. What is searched for is sometimes on the group's own topics and sometimes on others.
//!
//! The plain way is an `IVFFlat` index with 100 lists, searched with the same filter: with its default
//! of one probe, and with as many probes as it takes to recall as much as ours does. Then the same once
//! more with a B-tree index on the group beside it, which is what somebody would add who knows both the
//! data and PostgreSQL well; the planner chooses between the two.
//!
//! Figures move with the machine; both ways are measured in turns in one run, through the same driver
//! with prepared statements, and the ratio is what counts.

// A measurement that meets the unexpected should stop; pedantry belongs in the product.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::pedantic)]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use pgvector::Vector;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relive::storage::cluster::{Cluster, ClusterOptions};
use relive::storage::{MemoryScope, SearchLimits, Storage};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

const DIMENSION: usize = 384;
const GROUPS: usize = 1_000;
const TOPICS: usize = 200;
const LIMIT: usize = 10;
/// Searches in scopes of each kind.
const SEARCHES: usize = 100;
/// To find how many probes it takes, few are enough.
const FEW: usize = 20;
/// In turns with the other way; the median counts.
const ROUNDS: usize = 7;
/// Searches a second below which few are enough to time a round too.
const SLOW: f64 = 50.0;
const BATCH: usize = 2_000;

/// The group of the n-th search; `None`: the whole table.
type Scope = fn(usize) -> Option<usize>;

struct Data {
    groups: Vec<Uuid>,
    /// Group, identifier and vector of each row.
    rows: Vec<(usize, Uuid, Vec<f32>)>,
    topics: Vec<Vec<f32>>,
}

struct Search {
    /// `None`: the whole table.
    group: Option<usize>,
    vector: Vec<f32>,
    truth: HashSet<Uuid>,
}

fn direction(random: &mut StdRng) -> Vec<f32> {
    (0..DIMENSION).map(|_| random.random_range(-1.0..1.0_f32)).collect()
}

fn near(random: &mut StdRng, topic: &[f32]) -> Vec<f32> {
    topic.iter().map(|number| number + random.random_range(-0.8..0.8_f32)).collect()
}

fn generate(random: &mut StdRng, count: usize) -> Data {
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| direction(random)).collect();
    let groups: Vec<Uuid> = (0..GROUPS).map(|_| Uuid::now_v7()).collect();
    // The n-th largest group has a share in proportion to 1/n: many small, a few large.
    let whole: f64 = (1..=GROUPS).map(|n| 1.0 / n as f64).sum();
    let mut rows = Vec::with_capacity(count + GROUPS);
    for group in 0..GROUPS {
        let own: Vec<usize> = (0..4).map(|_| random.random_range(0..TOPICS)).collect();
        let size = (count as f64 / (group + 1) as f64 / whole).round().max(1.0) as usize;
        for _ in 0..size {
            let topic =
                if random.random_bool(0.8) { own[random.random_range(0..4)] } else { random.random_range(0..TOPICS) };
            rows.push((group, Uuid::now_v7(), near(random, &topics[topic])));
        }
    }
    Data { groups, rows, topics }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

impl Data {
    fn search(&self, random: &mut StdRng, group: Option<usize>) -> Search {
        let vector = {
            let topic = random.random_range(0..TOPICS);
            near(random, &self.topics[topic])
        };
        let mut rows: Vec<(f32, Uuid)> = self
            .rows
            .iter()
            .filter(|row| group.is_none_or(|group| row.0 == group))
            .map(|(_, id, embedding)| (cosine(embedding, &vector), *id))
            .collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        Search { group, vector, truth: rows.into_iter().take(LIMIT).map(|(_, id)| id).collect() }
    }

    async fn store(&self, storage: &Storage) {
        sqlx::query("INSERT INTO groups (id, name, created_at, updated_at) SELECT id, 'group', now(), now() FROM UNNEST($1::uuid[]) AS g (id)")
            .bind(&self.groups)
            .execute(storage.pool())
            .await
            .expect("groups");
        for rows in self.rows.chunks(BATCH) {
            sqlx::query(
                "INSERT INTO memories (id, group_id, content, embedding, created_at)
                 SELECT id, group_id, 'a memory', embedding, now()
                 FROM UNNEST($1::uuid[], $2::uuid[], $3::vector[]) AS m (id, group_id, embedding)",
            )
            .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| self.groups[row.0]).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| Vector::from(row.2.clone())).collect::<Vec<_>>())
            .execute(storage.pool())
            .await
            .expect("rows");
        }
    }
}

/// What a way of searching achieves: recall over all, that of its worst group, and time.
#[derive(Clone, Copy)]
struct Outcome {
    recall: f64,
    worst: f64,
    per_second: f64,
}

fn outcome(searches: &[Search], found: &[Vec<Uuid>], taken: Duration) -> Outcome {
    let recall = |(search, found): (&Search, &Vec<Uuid>)| {
        found.iter().filter(|id| search.truth.contains(id)).count() as f64 / search.truth.len() as f64
    };
    let recalls: Vec<f64> = searches.iter().zip(found).map(recall).collect();
    // Of the five smallest recalls together: one unlucky search says little.
    let mut sorted = recalls.clone();
    sorted.sort_by(f64::total_cmp);
    Outcome {
        recall: recalls.iter().sum::<f64>() / recalls.len() as f64,
        worst: sorted[..5].iter().sum::<f64>() / 5.0,
        per_second: searches.len() as f64 / taken.as_secs_f64(),
    }
}

async fn ours(storage: &Storage, data: &Data, searches: &[Search]) -> Outcome {
    let nearness = SearchLimits { limit: LIMIT as u32, min_score: None };
    let started = Instant::now();
    let mut found = Vec::new();
    for search in searches {
        let scope = MemoryScope { group_id: search.group.map(|group| data.groups[group]), ..MemoryScope::default() };
        let memories = storage.nearest_memories(&scope, &search.vector, nearness).await.expect("found");
        found.push(memories.into_iter().map(|memory| memory.id).collect());
    }
    outcome(searches, &found, started.elapsed())
}

/// The same columns as ours, from a copy of the table with indexes of its own.
async fn plain(connection: &mut PgConnection, data: &Data, searches: &[Search], probes: usize) -> Outcome {
    sqlx::raw_sql(AssertSqlSafe(format!("SET ivfflat.probes = {probes}")))
        .execute(&mut *connection)
        .await
        .expect("probes");
    let started = Instant::now();
    let mut found = Vec::new();
    for search in searches {
        let filter = if search.group.is_some() { "WHERE group_id = $2" } else { "WHERE $2::uuid IS NULL" };
        let sql = format!(
            "SELECT id, content, created_at, 1 - (embedding <=> $1) AS score FROM plain {filter} ORDER BY embedding <=> $1 LIMIT {LIMIT}"
        );
        let ids: Vec<(Uuid, String, chrono::DateTime<chrono::Utc>, f64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(Vector::from(search.vector.clone()))
            .bind(search.group.map(|group| data.groups[group]))
            .fetch_all(&mut *connection)
            .await
            .expect("found");
        found.push(ids.into_iter().map(|row| row.0).collect());
    }
    outcome(searches, &found, started.elapsed())
}

async fn compare(storage: &Storage, connection: &mut PgConnection, data: &Data, scope: (&str, &[Search]), way: &str) {
    let (name, searches) = scope;
    let few = &searches[..FEW];
    // The first round only warms what is read, and shows which number of probes to compare with.
    let reference = ours(storage, data, searches).await;
    let default = plain(connection, data, searches, 1).await;
    let mut probes = vec![1];
    for more in [2, 5, 10, 20, 40, 70, 100] {
        if default.recall < reference.recall - 0.001
            && (more == 100 || plain(connection, data, few, more).await.recall >= reference.recall - 0.001)
        {
            probes.push(more);
            break;
        }
    }
    let (mut our_rounds, mut plain_rounds) = (Vec::new(), vec![Vec::new(); probes.len()]);
    for _ in 0..ROUNDS {
        our_rounds.push(ours(storage, data, searches).await);
        for (probes, rounds) in probes.iter().zip(&mut plain_rounds) {
            let asked = if rounds.first().is_some_and(|it: &Outcome| it.per_second < SLOW) { few } else { searches };
            rounds.push(plain(connection, data, asked, *probes).await);
        }
    }
    let (ours, name) = (median(our_rounds), name);
    let print = |way: &str, it: Outcome, times: String| {
        println!("| {name} | {way} | {:.3} | {:.3} | {:.0} | {times} |", it.recall, it.worst, it.per_second);
    };
    print("ours", ours, String::new());
    for (probes, rounds) in probes.into_iter().zip(plain_rounds) {
        let it = median(rounds);
        let equal = if it.recall >= ours.recall - 0.001 { ", at equal recall" } else { "" };
        print(&format!("{way}, {probes} probes"), it, format!("{:.1} times{equal}", ours.per_second / it.per_second));
    }
}

/// The round of median speed.
fn median(mut rounds: Vec<Outcome>) -> Outcome {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds[rounds.len() / 2]
}

async fn run() {
    let count = std::env::var("RELIVE_BENCH_ROWS").map_or(100_000, |text| text.parse().expect("a number of rows"));
    let directory = tempfile::tempdir().expect("a directory");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).expect("permissions");
    }
    let options = ClusterOptions { data_dir: directory.path().into(), postgres_bin: None, durable: true };
    let cluster = Cluster::start(options).await.expect("PostgreSQL; run `make postgres` first");
    let mut admin = PgConnection::connect_with(&cluster.connect_options()).await.expect("connect");
    // An HNSW index is built several times faster when it fits into memory.
    let sql = "ALTER SYSTEM SET maintenance_work_mem = '512MB'; SELECT pg_reload_conf()";
    for statement in sql.split("; ") {
        sqlx::raw_sql(statement).execute(&mut admin).await.expect("a setting");
    }
    drop(admin);
    let storage = Storage::new(cluster.connect_options(), 4);
    storage.migrate(DIMENSION as u32).await.expect("migrate");
    let mut connection = PgConnection::connect_with(&cluster.connect_options()).await.expect("connect");

    let mut random = StdRng::seed_from_u64(42);
    let data = generate(&mut random, count);
    let started = Instant::now();
    // Both indexes are built after the rows: the plain one is useless otherwise, and ours is quicker.
    let sql = "DROP INDEX idx_memories_embedding";
    sqlx::query(sql).execute(&mut connection).await.expect("no index");
    data.store(&storage).await;
    eprintln!("stored {} memories in {:.0?}", data.rows.len(), started.elapsed());
    let started = Instant::now();
    storage.migrate(DIMENSION as u32).await.expect("the index");
    eprintln!("built our index in {:.0?}", started.elapsed());
    let started = Instant::now();
    let copy = format!(
        "CREATE TABLE plain AS SELECT id, group_id, content, embedding::vector({DIMENSION}) AS embedding, created_at FROM memories;
         CREATE INDEX ON plain USING ivfflat (embedding vector_cosine_ops) WITH (lists = 100);"
    );
    sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut connection).await.expect("the plain table");
    for table in ["memories", "plain"] {
        sqlx::raw_sql(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(&mut connection).await.expect("vacuum");
    }
    eprintln!("built the plain index in {:.0?}", started.elapsed());

    let scopes: [(&str, Scope); 4] = [
        ("groups of every size", |n| Some(n * GROUPS / SEARCHES)),
        ("the smallest groups", |n| Some(GROUPS - 1 - n)),
        ("the ten largest groups", |n| Some(n % 10)),
        ("the whole table", |_| None),
    ];
    let scopes = scopes.map(|(name, scope)| {
        let searches: Vec<Search> = (0..SEARCHES).map(|n| data.search(&mut random, scope(n))).collect();
        (name, searches)
    });
    println!("| searched in | way | recall at 10 | worst five | searches/s | ours |\n|---|---|---|---|---|---|");
    for index in [None, Some("CREATE INDEX ON plain (group_id)")] {
        if let Some(index) = index {
            sqlx::raw_sql(index).execute(&mut connection).await.expect("an index on the group");
        }
        let way = index.map_or("IVFFlat", |_| "IVFFlat, B-tree on the group");
        for (name, searches) in &scopes {
            compare(&storage, &mut connection, &data, (name, searches), way).await;
        }
    }
    storage.close().await;
    drop(connection);
    cluster.stop().await.expect("stopped");
}

fn main() {
    tokio::runtime::Runtime::new().expect("runtime").block_on(run());
}
