//! `relive keys`.

use std::process::{Output, Stdio};

use relive::access::{Access, AuthError, KeyText, Outcome, Role, Scopes};
use relive::storage::{AuditFilter, MIGRATOR};
use tokio::process::Command;

use super::{bearer, caller, default_project, is_refused, server};
use crate::harness::{DEADLINE, Database, ServerProcess, eventually};

/// Runs `relive keys …` and returns whether it succeeded, its output, and what it said.
async fn keys(arguments: &[&str], settings: &[(&str, &str)]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.arg("keys").args(arguments).env_remove("DATABASE_URL").envs(settings.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE * 3, command.output()).await.expect("ends in time");
    let Output { status, stdout, stderr } = ended.expect("relive");
    let text = |bytes| String::from_utf8(bytes).expect("a text");
    (status.success(), text(stdout), text(stderr))
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked_on_the_database() {
    let database = Database::create().await;
    let url = database.url();
    let here = [("DATABASE_URL", &*url)];
    let access = server(&database).await;
    let create = ["create", "--role", "engine", "--name", "night runs", "--expires-in", "12h"];
    let (is_done, key, said) = keys(&create, &here).await;
    assert!(is_done && KeyText::parse(key.trim_end()).is_some(), "{key} {said}");
    let found = caller(&access, key.trim_end()).await;
    assert!(found.role() == Some(Role::Engine) && found.expires_at.is_some() && said.contains("engine of default"));
    let id = found.actor.expect("an actor").id.clone();

    let made_at = recorded(&access, &id).await;
    assert_eq!(made_at, ["create_key"]);

    let (_, listed, _) = keys(&["list"], &here).await;
    let line = listed.lines().find(|line| line.starts_with(&id)).expect("listed");
    assert!(line.contains("until") && line.ends_with("night runs") && !listed.contains(key.trim_end()), "{listed}");
    assert_eq!(keys(&["list", "--project", "blue"], &here).await.1.lines().count(), 1);
    assert!(keys(&["revoke", &id], &here).await.0);
    is_refused(&access, key.trim_end()).await;
    assert!(keys(&["list"], &here).await.1.contains("revoked"));
    assert_eq!(recorded(&access, &id).await, ["create_key", "revoke_key"]);
}

/// What the audit log says was done to a key, in order.
async fn recorded(access: &Access, id: &str) -> Vec<String> {
    let entries = access.audit_entries(&default_project(), AuditFilter::default(), 100).await.expect("answered");
    let of_it = entries.expect("a page").into_iter().filter(|entry| entry.resource.contains(id));
    let entries: Vec<_> = of_it.collect();
    for entry in &entries {
        assert_eq!(
            (entry.outcome, &entry.actor, &*entry.resource),
            (Outcome::Allowed, &None, &*format!("relive keys: {id}"))
        );
    }
    entries.into_iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let url = Database::create().await.url();
    let here = [("DATABASE_URL", &*url)];
    for (arguments, reason) in [
        (&["create"][..], "--role"),
        (&["create", "--role", "owner"], "expected a role"),
        (&["create", "--role", "viewer", "--project", "Blue!"], "the id of a project"),
        (&["create", "--role", "viewer", "--project", "blue"], "there is no such project"),
        (&["create", "--role", "viewer", "--expires-in", "soon"], "such as 90d"),
        (&["create", "--role", "viewer", "--name", "a\u{1b}b"], "control character"),
        (&["revoke", "0198c0de-0000-7000-8000-000000000001"], "there is no key with this id"),
        (&["revoke", "x"], "invalid value"),
    ] {
        let (is_done, output, said) = keys(arguments, &here).await;
        assert!(!is_done && output.is_empty() && said.contains(reason), "{arguments:?}: {said}");
    }
}

async fn dimension(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT (value #>> '{}')::bigint FROM settings WHERE name = 'embedding_dimension'")
        .fetch_one(database.storage().pool())
        .await
        .expect("a number")
}

#[tokio::test]
async fn a_new_database_is_prepared_and_keeps_its_dimension() {
    let database = Database::empty().await;
    let url = database.url();
    let here = [("DATABASE_URL", &*url), ("RELIVE_EMBEDDING_DIM", "16")];
    let (is_done, key, said) = keys(&["create", "--role", "admin"], &here).await;
    assert!(is_done, "{said}");
    assert!(keys(&["list"], &here[..1]).await.0);
    assert_eq!(dimension(&database).await, 16);
    // One of the version before, which a server has prepared.
    let older = Database::create().await;
    let storage = older.storage();
    MIGRATOR.undo(storage.pool(), 12).await.expect("the version before");
    let url = older.url();
    let (is_done, _, said) = keys(&["list"], &[("DATABASE_URL", &*url), ("RELIVE_EMBEDDING_DIM", "16")]).await;
    assert!(is_done, "{said}");
    assert_eq!(dimension(&older).await, 8);
    let access = server(&database).await;
    assert!(access.is_required() && caller(&access, key.trim_end()).await.role() == Some(Role::Admin));
    assert!(matches!(bearer(&access, "x").await, Err(AuthError::Invalid)));
}

#[tokio::test]
async fn the_embedded_postgresql_is_used_whether_a_server_runs_it_or_not() {
    let directory = tempfile::tempdir().expect("a directory");
    #[cfg(unix)]
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .expect("permissions");
    let data = directory.path().join("data").to_str().expect("a path").to_owned();
    let here = [("RELIVE_DATA_DIR", &*data)];
    for missing in [&["create", "--role", "admin"][..], &["list"]] {
        let (is_done, _, said) = keys(missing, &here).await;
        assert!(
            !is_done && said.contains(&format!("no database in {data}")) && said.contains("--new-database"),
            "{said}"
        );
    }
    assert!(!std::path::Path::new(&data).exists(), "a wrong directory is left alone");
    let (is_done, _, said) = keys(&["create", "--new-database", "--role", "admin", "--name", "before"], &here).await;
    assert!(is_done, "{said}");
    let server = ServerProcess::start(&here).await;
    let (is_done, _, said) = keys(&["create", "--role", "viewer", "--name", "meanwhile"], &here).await;
    assert!(is_done, "{said}");
    assert_eq!(server.terminate().await, Some(0));
    let (is_done, listed, said) = keys(&["list"], &here).await;
    assert!(is_done && listed.contains("before") && listed.contains("meanwhile"), "{listed} {said}");
}

#[tokio::test]
async fn a_server_that_is_starting_is_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    #[cfg(unix)]
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .expect("permissions");
    let data = directory.path().join("data").to_str().expect("a path").to_owned();
    let (here, lock) = ([("RELIVE_DATA_DIR", &*data)], std::path::Path::new(&data).join("lock"));
    let with_dimension = [here[0], ("RELIVE_EMBEDDING_DIM", "8")];
    let making = async {
        eventually("the server has begun", async || lock.exists()).await;
        // With another dimension, which is the server's to say.
        keys(&["create", "--role", "admin"], &here).await
    };
    let (server, (is_done, key, said)) = tokio::join!(ServerProcess::start(&with_dimension), making);
    assert!(is_done && KeyText::parse(key.trim_end()).is_some(), "{said}");
    assert!(said.contains("waiting for it"), "{said}");
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn the_key_that_signs_is_exchanged_and_two_are_valid() {
    let database = Database::create().await;
    let url = database.url();
    let here = [("DATABASE_URL", &*url)];
    let access = server(&database).await;
    let made = super::key(&access, Role::Viewer).await;
    let give = async || {
        let scopes = Scopes::parse(&["read:sessions"]).expect("scopes");
        let issuer = caller(&access, made.text.reveal()).await;
        access.issue_token(&issuer, scopes, None).await.expect("a token").token
    };
    let kid = |token: &str| token.split('.').next().expect("a header").to_owned();
    let first = give().await;
    let (is_done, output, said) = keys(&["rotate-signing"], &here).await;
    assert!(is_done && output.is_empty() && said.contains("stay valid until they expire"), "{said}");
    eventually("the server signs with the new one", async || kid(&give().await) != kid(&first)).await;
    let second = give().await;
    assert!(bearer(&access, &first).await.is_ok() && bearer(&access, &second).await.is_ok());
    assert!(keys(&["rotate-signing"], &here).await.0);
    is_refused(&access, &first).await;
    assert!(bearer(&access, &second).await.is_ok());
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'rotate_signing_key'")
        .fetch_one(database.storage().pool())
        .await
        .expect("a number");
    assert_eq!(recorded, 2);
}
