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

/// The first migration that two adjacent versions have to live with; those before it are of one version.
const RULES_SINCE: i64 = 30;
/// What the first line of a migration begins with that removes something.
const CONTRACT: &str = "-- contract: unused since ";

/// Why a server of the version before could not go on beside this migration (see migrations/README.md).
fn contracts(sql: &str) -> Option<&'static str> {
    let code: String =
        sql.lines().map(|line| line.split("--").next().unwrap_or_default().to_uppercase() + " ").collect();
    // The bodies of functions are text.
    let outside: String = code.split("$$").step_by(2).collect();
    for statement in outside.split(';') {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let has = |sequence: &[&str]| words.windows(sequence.len()).any(|window| window == sequence);
        let found = [
            (has(&["DROP", "TABLE"]), "drops a table"),
            (has(&["DROP", "COLUMN"]), "drops a column"),
            (has(&["DROP", "FUNCTION"]), "drops a function"),
            (has(&["DROP", "VIEW"]), "drops a view"),
            (words.contains(&"RENAME"), "renames"),
            (has(&["SET", "NOT", "NULL"]), "makes a column NOT NULL"),
            (has(&["ALTER", "COLUMN"]) && words.contains(&"TYPE"), "changes a type"),
        ];
        if let Some((_, why)) = found.into_iter().find(|(is_so, _)| *is_so) {
            return Some(why);
        }
        for column in statement.split(',').filter(|part| part.contains("ADD COLUMN")) {
            if column.contains("NOT NULL") && !column.contains("DEFAULT") && !column.contains("GENERATED") {
                return Some("adds a column that old servers do not fill");
            }
        }
    }
    None
}

#[test]
fn a_migration_removes_only_what_nothing_uses_since_a_version() {
    let mut seen = 0;
    for migration in MIGRATOR.iter().filter(|migration| migration.migration_type.is_up_migration()) {
        seen += 1;
        let sql = migration.sql.as_str();
        if migration.version >= RULES_SINCE && !sql.starts_with(CONTRACT) {
            let (version, subject) = (migration.version, &migration.description);
            assert_eq!(contracts(sql), None, "{version} {subject}: see migrations/README.md");
        }
    }
    assert!(seen > 20, "only {seen} migrations found");
}

#[test]
fn what_an_old_server_cannot_live_with_is_found() {
    for (sql, is_found) in [
        ("ALTER TABLE a ADD COLUMN b text;", false),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT '', ADD COLUMN c integer;", false),
        ("CREATE TABLE a (b text NOT NULL); -- DROP TABLE c\nDROP INDEX d;", false),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE x; END $$;", false),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL;", true),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT '', ADD COLUMN c text NOT NULL;", true),
        ("alter table a\n  drop column b;", true),
        ("ALTER TABLE a ALTER COLUMN b TYPE bigint;", true),
        ("ALTER TABLE a ALTER b SET NOT NULL;", true),
        ("ALTER TABLE a RENAME TO b;", true),
        ("DROP TABLE a;", true),
    ] {
        assert_eq!(contracts(sql).is_some(), is_found, "{sql}");
    }
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
