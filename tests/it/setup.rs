//! What a server does to a database before it works on it, and which databases it refuses.

use std::time::Duration;

use pgvector::Vector;
use relive::storage::{MemoryScope, SearchLimits, SetupError, Storage, StorageError};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

use crate::harness::{Database, TestServer, eventually};

async fn run(storage: &Storage, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(storage.pool()).await.expect(sql);
}

/// Tables and extensions that are not PostgreSQL's own.
async fn made(storage: &Storage) -> Vec<String> {
    let made = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
                UNION ALL SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1";
    sqlx::query_scalar(made).fetch_all(storage.pool()).await.expect("the catalog")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_start_together_on_an_empty_database_all_start() {
    for _ in 0..3 {
        let database = Database::empty().await;
        let starting: Vec<_> = (0..4)
            .map(|_| {
                let storage = database.storage();
                tokio::spawn(async move { storage.migrate(8).await })
            })
            .collect();
        for started in starting {
            started.await.expect("no panic").expect("started");
        }
    }
}

#[tokio::test]
async fn a_start_that_fails_halfway_changes_nothing() {
    let database = Database::empty().await;
    let storage = database.storage();
    // In the way of the third migration.
    run(&storage, "CREATE TABLE memories ()").await;
    let error = storage.migrate(8).await.expect_err("a table of that name");
    assert!(error.to_string().contains("\"memories\" already exists"), "{error}");
    assert_eq!(made(&storage).await, ["memories"]);
    run(&storage, "DROP TABLE memories").await;
    storage.migrate(8).await.expect("nothing is in the way any more");
}

async fn refused(storage: &Storage) -> SetupError {
    let before = made(storage).await;
    let error = storage.migrate(8).await.expect_err("a database that is not fit");
    assert_eq!(made(storage).await, before, "something was changed");
    let StorageError::Setup(error) = error else { panic!("{error}") };
    error
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database =
            Database::made(&format!("ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")).await;
        let error = refused(&database.storage()).await;
        assert!(matches!(&error, SetupError::Encoding(found) if found == encoding), "{error}");
        assert!(error.to_string().contains("ENCODING 'UTF8'"), "{error}");
    }
}

#[tokio::test]
async fn a_postgresql_without_pgvector_is_refused_with_the_way_out() {
    let database = Database::empty().await;
    // What is looked for is not there for connections that are made from now on.
    let hide = format!("ALTER DATABASE {} SET extension_control_path = '/nowhere'", database.name());
    run(&database.storage(), &hide).await;
    let error = refused(&database.storage()).await;
    assert!(matches!(error, SetupError::NoVector { .. }), "{error}");
    for part in ["CREATE EXTENSION vector", "postgresql-18-pgvector", "Nothing was changed"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_do_what_is_needed_is_named() {
    let database = Database::empty().await;
    let (admin, role) = (database.storage(), format!("poor_{}", database.name()));
    run(&admin, &format!("CREATE ROLE {role} LOGIN")).await;
    let storage = Storage::new(database.options().username(&role), 4);
    let error = refused(&storage).await;
    assert!(matches!(&error, SetupError::MayNotCreateTables { role: named, .. } if *named == role), "{error}");
    assert!(error.to_string().contains(&format!("GRANT CREATE ON SCHEMA public TO {role}")), "{error}");

    run(&admin, &format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let error = refused(&Storage::new(database.options().username(&role), 4)).await;
    assert!(matches!(&error, SetupError::MayNotCreateVector { role: named } if *named == role), "{error}");
    assert!(error.to_string().contains("CREATE EXTENSION vector"), "{error}");

    run(&admin, "CREATE EXTENSION vector").await;
    storage.migrate(8).await.expect("all that was needed");
}

#[tokio::test]
async fn a_read_only_database_is_refused() {
    let database = Database::empty().await;
    run(&database.storage(), &format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name()))
        .await;
    let error = refused(&database.storage()).await;
    assert!(matches!(error, SetupError::ReadOnly(_)), "{error}");
}

#[tokio::test]
async fn servers_with_different_dimensions_do_not_share_a_database() {
    let server = TestServer::start().await;
    let other = server.database.storage();
    let error = other.migrate(16).await.expect_err("another dimension");
    let text = error.to_string();
    assert!(text.contains("embeddings of 8 numbers, this one is set to 16 (RELIVE_EMBEDDING_DIM)"), "{text}");
    // The same one is welcome, and when nobody else is there, it may be changed.
    other.migrate(8).await.expect("the same dimension");
    other.close().await;
    let database = server.stop().await;
    let other = database.storage();
    other.migrate(16).await.expect("nobody else is there");
    assert!(database.storage().migrate(8).await.is_err(), "now there is");
}

const LONG: u32 = 2_000;

/// A database with so many numbers in its embeddings that indexes are made in the background.
async fn with_many() -> (Database, Storage) {
    let database = Database::create().await;
    let storage = database.storage();
    storage.migrate(LONG).await.expect("ready");
    run(&storage, "DROP INDEX idx_memories_embedding").await;
    let fill = format!(
        "INSERT INTO memories (id, content, embedding, created_at)
         SELECT gen_random_uuid(), 'text', ARRAY(SELECT random() + 0 * n FROM generate_series(1, {LONG}))::vector, now()
         FROM generate_series(1, 250) AS n"
    );
    run(&storage, &fill).await;
    (database, storage)
}

async fn indexes(storage: &Storage) -> Vec<(String, bool)> {
    let held = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'memories'::regclass
                AND indexrelid::regclass::text ~ 'idx_memories_embedding' ORDER BY 1";
    sqlx::query_as(held).fetch_all(storage.pool()).await.expect("the catalog")
}

fn the_index() -> Vec<(String, bool)> {
    vec![("idx_memories_embedding".to_owned(), true)]
}

#[tokio::test]
async fn an_index_over_many_memories_is_built_while_others_write_and_search() {
    let (database, storage) = with_many().await;
    // What a build leaves behind whose server was killed: it waits for a transaction that can see the
    // table, and is cut off there.
    let mut holder = PgConnection::connect_with(&database.options()).await.expect("a connection");
    let mut holding = holder.begin().await.expect("a transaction");
    let lock = "LOCK TABLE memories IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut *holding).await.expect("a lock");
    let unfinished = format!(
        "SET statement_timeout = '300ms'; CREATE INDEX CONCURRENTLY idx_memories_embedding_next ON memories
         USING hnsw ((unit::halfvec({LONG})) halfvec_cosine_ops) WHERE vector_dims(unit) = {LONG}"
    );
    let mut cut_off = PgConnection::connect_with(&database.options()).await.expect("a connection");
    for statement in unfinished.split("; ") {
        let _ = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut cut_off).await;
    }
    assert_eq!(indexes(&storage).await, [("idx_memories_embedding_next".to_owned(), false)]);

    // Ready at once, though a transaction is in the way of the index; so two servers are.
    let other = database.storage();
    for storage in [&storage, &other] {
        tokio::time::timeout(Duration::from_secs(20), storage.migrate(LONG)).await.expect("at once").expect("ready");
    }
    let nearness = SearchLimits { limit: 3, min_score: None };
    let asked = vec![1.0; LONG as usize];
    let found = storage.nearest_memories(&MemoryScope::default(), &asked, nearness).await.expect("found");
    assert_eq!(found.len(), 3, "a search without the index");
    let add = "INSERT INTO memories (id, content, embedding, created_at) VALUES ($1, 'new', $2, now())";
    let new = Vector::from(asked.clone());
    sqlx::query(add).bind(Uuid::now_v7()).bind(new).execute(storage.pool()).await.expect("a memory meanwhile");
    assert_ne!(indexes(&storage).await, the_index());
    holding.rollback().await.expect("out of the way");
    eventually("the index is there", async || indexes(&storage).await == the_index()).await;
}

#[tokio::test]
async fn another_dimension_takes_its_place_without_keeping_anybody_away() {
    let (database, storage) = with_many().await;
    storage.migrate(LONG).await.expect("ready");
    eventually("the index is there", async || indexes(&storage).await == the_index()).await;
    storage.migrate(16).await.expect("another dimension");
    let definition = async || {
        let held = "SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_memories_embedding'";
        sqlx::query_scalar::<_, String>(held).fetch_one(storage.pool()).await.expect("an index")
    };
    eventually("an index for it", async || definition().await.contains("halfvec(16)")).await;
    assert_eq!(indexes(&storage).await, the_index());
    drop(database);
}

/// Longer than an index over whole numbers takes (2,000), and longer than any index takes (4,000).
#[tokio::test]
async fn long_embeddings_are_stored_and_found() {
    for dimension in [3_000_u16, 4_500] {
        let server = TestServer::start_with(|config| config.database.embedding_dim = dimension.into()).await;
        let near = |n: u16| {
            let mut numbers = vec![1.0_f32; dimension.into()];
            numbers[usize::from(n)] = 40.0;
            numbers
        };
        let post = |n: u16| serde_json::json!({"content": format!("memory {n}"), "embedding": near(n)});
        for n in 0..40 {
            let (status, answer) = server.post("/api/v1/memories", post(n)).await;
            assert_eq!(status, 201, "{answer}");
        }
        for n in [0, 17, 39] {
            let search = serde_json::json!({"embedding": near(n), "limit": 1});
            let (status, found) = server.post("/api/v1/memories/search", search).await;
            assert_eq!(status, 200, "{found}");
            assert_eq!(found["memories"][0]["content"], format!("memory {n}"));
            assert!((found["memories"][0]["score"].as_f64().expect("a score") - 1.0).abs() < 1e-6);
        }
        let held: bool = sqlx::query_scalar("SELECT to_regclass('idx_memories_embedding') IS NOT NULL")
            .fetch_one(server.database.storage().pool())
            .await
            .expect("a look");
        assert_eq!(held, dimension <= 4_000);
    }
}
