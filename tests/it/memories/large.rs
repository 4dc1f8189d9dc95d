//! Small groups in a large table, and tables that are searched through the index.

use std::collections::HashSet;
use std::time::Duration;

use pgvector::Vector;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relive::storage::{MemoryScope, SearchLimits, Storage};
use uuid::Uuid;

use crate::harness::Database;

const LIMIT: u32 = 10;

struct Row {
    id: Uuid,
    group: Uuid,
    embedding: Vec<f32>,
}

/// `count` rows of a group, scattered around a direction.
fn rows(random: &mut StdRng, group: Uuid, count: usize, direction: [f32; 8]) -> Vec<Row> {
    let mut scatter = || direction.iter().map(|number| number + random.random_range(-0.5..0.5_f32)).collect();
    (0..count).map(|_| Row { id: Uuid::now_v7(), group, embedding: scatter() }).collect()
}

async fn store(storage: &Storage, rows: &[Row]) {
    let groups: HashSet<Uuid> = rows.iter().map(|row| row.group).collect();
    for group in groups {
        let sql = "INSERT INTO groups (id, name, created_at, updated_at) VALUES ($1, 'group', now(), now())";
        sqlx::query(sql).bind(group).execute(storage.pool()).await.expect("a group");
    }
    sqlx::query(
        "INSERT INTO memories (id, group_id, content, embedding, created_at)
         SELECT id, group_id, 'text', embedding, now() FROM UNNEST($1::uuid[], $2::uuid[], $3::vector[]) AS m (id, group_id, embedding)",
    )
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.group).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| Vector::from(row.embedding.clone())).collect::<Vec<_>>())
    .execute(storage.pool())
    .await
    .expect("rows");
}

/// A database with these memories, its index as `migrate` makes it.
async fn database_with(rows: &[Row]) -> (Database, Storage) {
    let database = Database::create().await;
    let storage = database.storage();
    // Built in one go rather than row by row, which takes much longer.
    sqlx::query("DROP INDEX idx_memories_embedding").execute(storage.pool()).await.expect("no index");
    store(&storage, rows).await;
    storage.migrate(8).await.expect("the index");
    // In the background, and on a busy machine.
    let is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('idx_memories_embedding')";
    let built = async {
        while sqlx::query_scalar(is_valid).fetch_optional(storage.pool()).await.expect("a look") != Some(true) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(5), built).await.expect("the index is built");
    sqlx::query("ANALYZE memories").execute(storage.pool()).await.expect("statistics");
    (database, storage)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn exact<'a>(rows: impl Iterator<Item = &'a Row>, asked: &[f32]) -> Vec<Uuid> {
    let mut rows: Vec<(f64, Uuid)> = rows.map(|row| (cosine(&row.embedding, asked), row.id)).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows.into_iter().take(LIMIT as usize).map(|(_, id)| id).collect()
}

async fn found(storage: &Storage, group_id: Option<Uuid>, asked: &[f32]) -> Vec<Uuid> {
    let scope = MemoryScope { group_id, ..MemoryScope::default() };
    let nearness = SearchLimits { limit: LIMIT, min_score: None };
    storage.nearest_memories(&scope, asked, nearness).await.expect("found").into_iter().map(|it| it.id).collect()
}

const HERE: [f32; 8] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
const THERE: [f32; 8] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

#[tokio::test]
async fn a_small_group_in_a_large_table_gets_its_true_nearest() {
    let mut random = StdRng::seed_from_u64(7);
    let (large, small) = (Uuid::now_v7(), Uuid::now_v7());
    // What is asked for lies amid the large group and far from the small one.
    let mut all = rows(&mut random, large, 5_000, HERE);
    all.extend(rows(&mut random, small, 20, THERE));
    let (_database, storage) = database_with(&all).await;
    for _ in 0..20 {
        let asked = rows(&mut random, large, 1, HERE).remove(0).embedding;
        for group in [small, large] {
            let expected = exact(all.iter().filter(|row| row.group == group), &asked);
            assert_eq!(found(&storage, Some(group), &asked).await, expected);
        }
    }
    assert_eq!(found(&storage, Some(Uuid::now_v7()), &HERE).await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn large_scopes_are_searched_through_the_index_and_miss_almost_nothing() {
    let mut random = StdRng::seed_from_u64(11);
    let (large, small) = (Uuid::now_v7(), Uuid::now_v7());
    let mut all = rows(&mut random, large, 50_500, HERE);
    all.extend(rows(&mut random, small, 20, THERE));
    let (_database, storage) = database_with(&all).await;
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'idx_memories_embedding'";
    let (mut right, mut asked_for) = (0, 0);
    for _ in 0..20 {
        let asked = rows(&mut random, large, 1, HERE).remove(0).embedding;
        for group in [None, Some(large)] {
            let expected = exact(all.iter().filter(|row| group.is_none_or(|group| row.group == group)), &asked);
            let found = found(&storage, group, &asked).await;
            assert_eq!(found.len(), LIMIT as usize);
            right += expected.iter().filter(|id| found.contains(id)).count();
            asked_for += expected.len();
        }
        let expected = exact(all.iter().filter(|row| row.group == small), &asked);
        assert_eq!(found(&storage, Some(small), &asked).await, expected);
    }
    assert!(right * 100 >= asked_for * 98, "{right} of {asked_for}");
    // Statistics of a connection are visible at the latest when it has ended.
    storage.close().await;
    let storage = _database.storage();
    let scans: i64 = sqlx::query_scalar(scans).fetch_one(storage.pool()).await.expect("statistics");
    assert!(scans >= 40, "the index was used {scans} times");
}
