//! Access tokens.

use std::time::Duration;

use relive::access::{Access, AccessSettings, AuthError, Grant, IssueError, IssuedToken, Requirement, Role, Scopes};
use relive_session::{ActorKind, Timestamp};

use super::{FAST, bearer, caller, default_project, is_refused, key, server, server_with, settings};
use crate::harness::{DEADLINE, Database};

fn scopes(texts: &[&str]) -> Scopes {
    Scopes::parse(texts).expect("scopes")
}

async fn given(access: &Access, key: &str, texts: &[&str]) -> IssuedToken {
    access.issue_token(&caller(access, key).await, scopes(texts), None).await.expect("a token")
}

#[tokio::test]
async fn a_token_grants_its_scopes_on_every_server_for_a_while() {
    let database = Database::create().await;
    let (here, there) = (server(&database).await, server(&database).await);
    let made = key(&here, Role::Viewer).await;
    let token = given(&here, made.text.reveal(), &["read:sessions", "read:tags:x"]).await;
    let found = caller(&there, &token.token).await;
    assert_eq!(found.grant, Grant::Scopes(scopes(&["read:sessions", "read:tags:x"])));
    assert_eq!((found.project, found.expires_at), (default_project(), Some(token.expires_at)));
    let actor = found.actor.expect("an actor");
    assert_eq!((actor.kind, &*actor.id), (ActorKind::Token, &*token.id.to_string()));
    assert_eq!(actor.name, "token of ci", "a name that people know");
    let lasts = token.expires_at.since(Timestamp::now()).as_secs();
    assert!((895..=900).contains(&lasts), "{lasts}");

    let issuer = caller(&here, made.text.reveal()).await;
    let long = here.issue_token(&issuer, scopes(&["read:sessions"]), Some(Duration::MAX)).await.expect("a token");
    assert!(long.expires_at.since(Timestamp::now()) <= Duration::from_secs(604_800));
    let short = here.issue_token(&issuer, scopes(&["read:sessions"]), Some(Duration::from_secs(1))).await;
    let short = short.expect("a token");
    crate::harness::eventually("it expires", async || {
        matches!(bearer(&here, &short.token).await, Err(AuthError::Expired))
    })
    .await;
}

#[tokio::test]
async fn nobody_gives_more_than_they_have_nor_for_longer() {
    let database = Database::create().await;
    let access = server(&database).await;
    let made = key(&access, Role::Viewer).await;
    let id = "0198c0de-0000-7000-8000-000000000001";
    for scope in [format!("control:sessions:{id}"), format!("review:sessions:{id}"), format!("write:sessions:{id}")] {
        let issuer = caller(&access, made.text.reveal()).await;
        let refused = access.issue_token(&issuer, scopes(&[&scope, "read:sessions"]), None).await;
        assert!(matches!(refused, Err(IssueError::Denied(_))), "{scope}");
    }
    let token = given(&access, made.text.reveal(), &["read:sessions"]).await;
    let holder = caller(&access, &token.token).await;
    let further = access.issue_token(&holder, scopes(&["read:sessions"]), None).await;
    assert!(matches!(further, Err(IssueError::Denied(_))), "a token gives none");
    let issuer = relive::access::Caller {
        expires_at: Some(Timestamp::now() + Duration::from_secs(30)),
        ..caller(&access, made.text.reveal()).await
    };
    let clipped = access.issue_token(&issuer, scopes(&["read:sessions"]), None).await.expect("a token");
    assert!(clipped.expires_at.since(Timestamp::now()) <= Duration::from_secs(30));
}

#[tokio::test]
async fn a_token_ends_with_its_givers_key_or_by_itself() {
    let database = Database::create().await;
    let (here, there) = (server(&database).await, server(&database).await);
    let made = key(&here, Role::Admin).await;
    let [first, second] = [(); 2].map(|()| given(&here, made.text.reveal(), &["read:sessions"]));
    let (first, second) = (first.await, second.await);
    let watches = [&first, &second].map(|token| async { there.watch(&caller(&there, &token.token).await) });
    let [one, two] = watches.map(Box::pin);
    let (one, two) = (one.await, two.await);

    let elsewhere = "elsewhere".parse().expect("an id");
    database.storage().create_project(&elsewhere, "Elsewhere", Timestamp::now()).await.expect("made");
    here.revoke_token(&elsewhere, second.id).await.expect("answered");
    here.revoke_token(&default_project(), first.id).await.expect("revoked");
    tokio::time::timeout(DEADLINE, one.cancelled()).await.expect("told");
    is_refused(&there, &first.token).await;
    assert!(!two.is_cancelled() && bearer(&there, &second.token).await.is_ok(), "another project revokes nothing here");

    here.revoke_key(&default_project(), made.key.id).await.expect("revoked");
    assert!(bearer(&here, &second.token).await.is_err(), "here at once");
    tokio::time::timeout(DEADLINE, two.cancelled()).await.expect("told");
    is_refused(&there, &second.token).await;
}

#[tokio::test]
async fn the_key_that_signs_is_exchanged_and_the_one_before_counts() {
    let database = Database::create().await;
    let (here, there) = (server(&database).await, server(&database).await);
    let made = key(&here, Role::Viewer).await;
    let first = given(&here, made.text.reveal(), &["read:sessions"]).await;
    here.rotate_signing_key().await.expect("rotated");
    let second = given(&here, made.text.reveal(), &["read:sessions"]).await;
    for access in [&here, &there] {
        assert!(bearer(access, &first.token).await.is_ok() && bearer(access, &second.token).await.is_ok());
    }
    here.rotate_signing_key().await.expect("rotated");
    assert!(bearer(&server(&database).await, &second.token).await.is_ok());
    assert!(bearer(&server(&database).await, &first.token).await.is_err());
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM signing_keys")
        .fetch_one(database.storage().pool())
        .await
        .expect("a number");
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn a_key_that_signs_is_only_exchanged_when_it_is_old() {
    let storage = Database::create().await.storage();
    let before = |seconds| Timestamp::now().before(Duration::from_secs(seconds));
    let ids = async |id: &str, before| -> Vec<String> {
        let keys = storage.rotate_signing_keys(id, &[7; 32], before).await.expect("rotated");
        keys.into_iter().map(|key| key.id).collect()
    };
    assert_eq!(ids("1", before(3_600)).await, ["1"]);
    // Another server that wanted to make the first one as well.
    assert_eq!(ids("2", before(3_600)).await, ["1"]);
    assert_eq!(ids("3", Some(Timestamp::now() + Duration::from_secs(3_600))).await, ["3", "1"]);
    assert_eq!(ids("4", None).await, ["4", "3"]);
}

#[tokio::test]
async fn servers_that_start_together_sign_with_one_key() {
    let database = Database::create().await;
    let started = futures_util::future::join_all((0..4).map(|_| server(&database))).await;
    let made = key(&started[0], Role::Viewer).await;
    for issuer in &started {
        let token = given(issuer, made.text.reveal(), &["read:sessions"]).await;
        for access in &started {
            assert!(bearer(access, &token.token).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_token_of_root_ends_with_the_root_key_and_one_of_nobody_with_the_openness() {
    let database = Database::create().await;
    let root = |key: &str| AccessSettings { root_key: Some(key.to_owned()), ..settings(FAST) };
    let access = server_with(&database, root("a root key")).await;
    let token = given(&access, "a root key", &["read:sessions"]).await;
    assert!(bearer(&access, &token.token).await.is_ok());
    assert!(bearer(&server_with(&database, root("a root key")).await, &token.token).await.is_ok());
    assert!(bearer(&server_with(&database, root("another")).await, &token.token).await.is_err());
    assert!(bearer(&server(&database).await, &token.token).await.is_err());

    let open = server(&database).await;
    let anybody = open.identify(None, None).await.expect("anybody");
    let token = open.issue_token(&anybody, scopes(&["read:sessions"]), None).await.expect("a token");
    let holder = caller(&open, &token.token).await;
    let watch = open.watch(&holder);
    key(&open, Role::Admin).await;
    assert!(watch.is_cancelled() && bearer(&open, &token.token).await.is_err());
    let never = AccessSettings { requirement: Requirement::Never, ..settings(FAST) };
    assert!(bearer(&server_with(&database, never).await, &token.token).await.is_ok());
}

#[tokio::test]
async fn tokens_of_other_servers_and_projects_that_are_gone_are_refused() {
    let (one, other) = (Database::create().await, Database::create().await);
    let access = server(&one).await;
    let project = "blue".parse().expect("an id");
    one.storage().create_project(&project, "Blue", Timestamp::now()).await.expect("made");
    let root = AccessSettings { root_key: Some("a root key".to_owned()), ..settings(FAST) };
    let access_of_root = server_with(&one, root).await;
    let caller = caller(&access_of_root, "a root key").await;
    let issuer = access_of_root.in_project(caller, project.clone()).await.expect("answered").expect("a project");
    let token = access_of_root.issue_token(&issuer, scopes(&["read:sessions"]), None).await.expect("a token");
    assert!(bearer(&access_of_root, &token.token).await.is_ok());
    assert!(bearer(&server(&other).await, &token.token).await.is_err());
    assert!(bearer(&access, &token.token).await.is_err());
    assert!(one.storage().delete_project(&project, Timestamp::now()).await.expect("deleted").is_some());
    is_refused(&access_of_root, &token.token).await;
}
