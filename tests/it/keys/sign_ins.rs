//! Sign-ins of the dashboard that are made with a key or a token.

use relive::access::{
    Access, AccessSettings, AuthError, Caller, Credential, CredentialId, Grant, IssueError, Role, Scopes,
};
use relive_session::Timestamp;

use super::{FAST, bearer, caller, default_project, key, server, server_with, settings};
use crate::harness::{DEADLINE, Database, eventually};

async fn cookie(access: &Access, value: &str) -> Result<Caller, AuthError> {
    access.identify(Some(Credential::Cookie(value)), None).await
}

async fn ends(access: &Access, value: &str) {
    eventually("it ends", async || matches!(cookie(access, value).await, Err(AuthError::Invalid))).await;
}

#[tokio::test]
async fn a_cookie_stands_for_what_it_was_made_with_and_ends_with_it() {
    let database = Database::create().await;
    let (here, there) = (server(&database).await, server(&database).await);
    let made = key(&here, Role::Operator).await;
    let signed_in = here.sign_in_with(caller(&here, made.text.reveal()).await).await.expect("signed in");
    let found = cookie(&there, &signed_in.cookie).await.expect("valid");
    assert_eq!((found.role(), &found.actor), (Some(Role::Operator), &signed_in.caller.actor));
    assert!(matches!(found.credential, CredentialId::SignIn { key: Some(id), .. } if id == made.key.id));
    assert!(found.expires_at == Some(signed_in.expires_at) && signed_in.expires_at > Timestamp::now());
    assert!(bearer(&here, &signed_in.cookie).await.is_err(), "a cookie is no bearer token");
    // What is given on the page ends with the key as well.
    let token = there.issue_token(&found, Scopes::parse(&["read:sessions"]).expect("scopes"), None).await;
    let token = token.expect("a token").token;

    let watch = there.watch(&found);
    here.revoke_key(&default_project(), made.key.id).await.expect("revoked");
    assert!(cookie(&here, &signed_in.cookie).await.is_err(), "here at once");
    tokio::time::timeout(DEADLINE, watch.cancelled()).await.expect("told");
    ends(&there, &signed_in.cookie).await;
    assert!(bearer(&here, &token).await.is_err());
    assert!(matches!(here.sign_in_with(found).await, Err(IssueError::Auth(AuthError::Invalid))), "it was revoked");
}

#[tokio::test]
async fn signing_out_ends_one_sign_in() {
    let database = Database::create().await;
    let (here, there) = (server(&database).await, server(&database).await);
    let made = key(&here, Role::Viewer).await;
    let one = here.sign_in_with(caller(&here, made.text.reveal()).await).await.expect("signed in");
    let two = here.sign_in_with(caller(&here, made.text.reveal()).await).await.expect("signed in");
    let watch = there.watch(&cookie(&there, &one.cookie).await.expect("valid"));
    here.sign_out(&cookie(&here, &one.cookie).await.expect("valid")).await.expect("signed out");
    assert!(cookie(&here, &one.cookie).await.is_err());
    tokio::time::timeout(DEADLINE, watch.cancelled()).await.expect("told");
    ends(&there, &one.cookie).await;
    assert!(cookie(&there, &two.cookie).await.is_ok() && bearer(&here, made.text.reveal()).await.is_ok());
    let rows: Vec<String> = sqlx::query_scalar("SELECT sign_ins::text FROM sign_ins")
        .fetch_all(database.storage().pool())
        .await
        .expect("rows");
    assert!(rows.len() == 1 && !rows[0].contains(&two.cookie), "{rows:?}");
}

#[tokio::test]
async fn the_token_of_a_link_becomes_a_cookie_with_its_scopes() {
    let database = Database::create().await;
    let access = server(&database).await;
    let made = key(&access, Role::Viewer).await;
    let scopes = Scopes::parse(&["read:tags:demo"]).expect("scopes");
    let token = access.issue_token(&caller(&access, made.text.reveal()).await, scopes.clone(), None).await;
    let token = token.expect("a token");
    let signed_in = access.sign_in_with(caller(&access, &token.token).await).await.expect("signed in");
    let found = cookie(&access, &signed_in.cookie).await.expect("valid");
    assert_eq!((found.grant, found.expires_at), (Grant::Scopes(scopes), Some(token.expires_at)));
    access.revoke_token(&default_project(), token.id).await.expect("revoked");
    ends(&access, &signed_in.cookie).await;
}

#[tokio::test]
async fn a_sign_in_of_root_ends_with_the_root_key() {
    let database = Database::create().await;
    let root = |key: &str| AccessSettings { root_key: Some(key.to_owned()), ..settings(FAST) };
    let access = server_with(&database, root("a root key")).await;
    let signed_in = access.sign_in_with(caller(&access, "a root key").await).await.expect("signed in");
    assert_eq!(cookie(&access, &signed_in.cookie).await.expect("valid").role(), Some(Role::Root));
    for other in [server_with(&database, root("another")).await, server(&database).await] {
        assert!(cookie(&other, &signed_in.cookie).await.is_err());
    }
}

#[tokio::test]
async fn expired_rows_are_removed() {
    let database = Database::create().await;
    let access = server(&database).await;
    let made = key(&access, Role::Viewer).await;
    let later = Timestamp::now() + std::time::Duration::from_secs(3_600);
    access.sign_in_with(caller(&access, made.text.reveal()).await).await.expect("signed in");
    access.revoke_token(&default_project(), uuid::Uuid::nil()).await.expect("revoked");
    let storage = database.storage();
    let left = async || -> (i64, i64) {
        let sql = "SELECT (SELECT count(*) FROM sign_ins), (SELECT count(*) FROM revoked_tokens)";
        sqlx::query_as(sql).fetch_one(storage.pool()).await.expect("numbers")
    };
    assert!(!storage.prune_credentials(later).await.expect("pruned"));
    assert_eq!(left().await, (1, 1));
    storage.prune_credentials(later + std::time::Duration::from_secs(86_400)).await.expect("pruned");
    assert_eq!(left().await, (0, 1));
    storage.prune_credentials(later + std::time::Duration::from_secs(700_000)).await.expect("pruned");
    assert_eq!(left().await, (0, 0));
}
