//! Every migration can be taken back, and applied again.

use relive::storage::MIGRATOR;
use sqlx::PgPool;

use crate::harness::Database;

/// Columns, indexes, constraints and functions, as PostgreSQL describes them.
async fn schema(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT format('column %s.%s %s %s %s', table_name, column_name, udt_name, is_nullable, column_default)
           FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
         UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
           WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> '_sqlx_migrations'
         UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname LIKE 'relive\\_%'
         UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT format('options %s %s', relname, reloptions) FROM pg_class WHERE reloptions IS NOT NULL
           AND relnamespace = 'public'::regnamespace
         UNION ALL SELECT format('extension %s', extname) FROM pg_extension
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .expect("the schema")
}

#[tokio::test]
async fn up_down_and_up_again_leads_to_the_same_schema() {
    let database = Database::create().await;
    let storage = database.storage();
    let pool = storage.pool();
    let up = schema(pool).await;
    assert!(up.iter().any(|line| line.contains("session_events")) && up.len() > 60, "{up:#?}");

    MIGRATOR.undo(pool, 0).await.expect("all the way down");
    let down = schema(pool).await;
    assert_eq!(down, ["extension plpgsql"], "something stayed");

    storage.migrate(8).await.expect("up again");
    assert_eq!(schema(pool).await, up);
    // Step by step as well: each one by itself can be undone and redone.
    let versions: Vec<i64> =
        MIGRATOR.iter().filter(|migration| migration.migration_type.is_up_migration()).map(|it| it.version).collect();
    for target in versions.iter().rev().skip(1) {
        MIGRATOR.undo(pool, *target).await.expect("one step down");
        MIGRATOR.run(pool).await.expect("up");
    }
    storage.migrate(8).await.expect("the index");
    assert_eq!(schema(pool).await, up);
    // What is up to date stays as it is.
    storage.migrate(8).await.expect("again");
    assert_eq!(schema(pool).await, up);
}

#[tokio::test]
async fn the_embedding_index_follows_the_setting() {
    let database = Database::create().await;
    let storage = database.storage();
    for dimension in [8, 16, 8] {
        storage.migrate(dimension).await.expect("migrate");
        let indexes: Vec<String> = schema(storage.pool())
            .await
            .into_iter()
            .filter(|line| line.contains("INDEX idx_memories_embedding"))
            .collect();
        let [index] = &indexes[..] else { panic!("{indexes:?}") };
        assert!(index.contains(&format!("halfvec({dimension})")), "{index}");
    }
}
