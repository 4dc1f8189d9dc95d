//! Access control: keys, tokens, sign-ins, limits of failures, the audit log, and the command `relive keys`.

mod audit;
mod command;
mod oidc;
mod sign_ins;
mod tokens;

use std::net::IpAddr;
use std::time::Duration;

use relive::access::{
    Access, AccessSettings, AuthError, Caller, Credential, CredentialId, Grant, MadeKey, NewKeyOptions, Requirement,
    Role, Timing,
};
use relive_session::{ActorKind, ProjectId, Timestamp};

use crate::harness::{DEADLINE, Database, eventually};

/// Revocations are found within a tenth of a second.
const FAST: Timing = Timing {
    fresh: Duration::from_millis(50),
    last_use: Duration::from_secs(3_600),
    upkeep: Duration::from_secs(3_600),
    provider: Duration::ZERO,
    provider_keys: Duration::from_secs(3_600),
};

/// What a test looks at must not expire in between.
const SLOW: Timing = Timing { fresh: Duration::from_secs(3_600), ..FAST };

fn settings(timing: Timing) -> AccessSettings {
    AccessSettings { timing, ..AccessSettings::default() }
}

/// Access control as one server on the database has it.
async fn server(database: &Database) -> Access {
    server_with(database, settings(FAST)).await
}

async fn server_with(database: &Database, settings: AccessSettings) -> Access {
    Access::start(database.storage(), settings).await.expect("starts")
}

fn default_project() -> ProjectId {
    ProjectId::default_project()
}

async fn key(access: &Access, role: Role) -> MadeKey {
    let project = default_project();
    let options = NewKeyOptions { project: &project, name: "ci", role, expires_at: None };
    access.create_key(options).await.expect("a key")
}

async fn bearer(access: &Access, text: &str) -> Result<Caller, AuthError> {
    access.authenticate(Credential::Bearer(text)).await
}

async fn caller(access: &Access, text: &str) -> Caller {
    bearer(access, text).await.expect("valid")
}

/// Waits until the credential is refused.
async fn is_refused(access: &Access, text: &str) {
    eventually("it is refused", async || matches!(bearer(access, text).await, Err(AuthError::Invalid))).await;
}

#[tokio::test]
async fn a_key_is_who_it_was_made_for() {
    let database = Database::create().await;
    let access = server(&database).await;
    let made = key(&access, Role::Operator).await;
    let found = caller(&access, made.text.reveal()).await;
    assert_eq!((found.grant, found.project.as_str()), (Grant::Role(Role::Operator), "default"));
    assert_eq!((found.credential, found.expires_at), (CredentialId::Key(made.key.id), None));
    let actor = found.actor.expect("an actor");
    assert_eq!((actor.kind, &*actor.name, &*actor.id), (ActorKind::Key, "ci", &*made.key.id.to_string()));

    let other = relive::access::KeyText::new([7; 32]);
    let cut = &made.text.reveal()[..52];
    for wrong in [other.reveal(), cut, "rlv_", "", "x", "a.b.c", &"x".repeat(100_000), "e30.e30.e30"] {
        assert!(matches!(bearer(&access, wrong).await, Err(AuthError::Invalid)), "{wrong:.60}");
    }
    let cookie = access.identify(Some(Credential::Cookie(made.text.reveal())), None).await;
    assert!(matches!(cookie, Err(AuthError::Invalid)), "a key is no cookie");
    // Nothing that is stored can be used.
    let stored: Vec<String> = sqlx::query_scalar("SELECT api_keys::text FROM api_keys")
        .fetch_all(database.storage().pool())
        .await
        .expect("rows");
    assert!(!stored.concat().contains(&made.text.reveal()[12..]), "{stored:?}");
}

#[tokio::test]
async fn a_key_expires() {
    let access = server(&Database::create().await).await;
    let project = default_project();
    let soon = Some(Timestamp::now() + Duration::from_millis(1_500));
    let options = NewKeyOptions { project: &project, name: "guest", role: Role::Viewer, expires_at: soon };
    let made = access.create_key(options).await.expect("a key");
    assert_eq!(caller(&access, made.text.reveal()).await.expires_at, soon);
    eventually("it expires", async || matches!(bearer(&access, made.text.reveal()).await, Err(AuthError::Expired)))
        .await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_its_sockets_are_told_on_every_server() {
    let database = Database::create().await;
    let (here, there) = (server(&database).await, server(&database).await);
    let (first, second) = (key(&here, Role::Admin).await, key(&here, Role::Admin).await);
    let text = first.text.reveal();
    let watches = [&here, &there].map(|access| async { access.watch(&caller(access, text).await) });
    let [watch_here, watch_there] = watches.map(Box::pin);
    let (watch_here, watch_there) = (watch_here.await, watch_there.await);
    let other = there.watch(&caller(&there, second.text.reveal()).await);

    let revoked = here.revoke_key(&default_project(), first.key.id).await.expect("revoked").expect("a key");
    assert!(revoked.revoked_at.is_some());
    assert!(watch_here.is_cancelled(), "here at once");
    assert!(matches!(bearer(&here, text).await, Err(AuthError::Invalid)), "here at once");
    tokio::time::timeout(DEADLINE, watch_there.cancelled()).await.expect("there soon");
    is_refused(&there, text).await;
    assert!(!other.is_cancelled() && bearer(&there, second.text.reveal()).await.is_ok());
    // Another time changes nothing; another project's is not found.
    let again = here.revoke_key(&default_project(), first.key.id).await.expect("revoked").expect("a key");
    assert_eq!(again.revoked_at, revoked.revoked_at);
    let elsewhere = "elsewhere".parse().expect("an id");
    assert!(here.revoke_key(&elsewhere, second.key.id).await.expect("answered").is_none());
    assert!(bearer(&here, second.text.reveal()).await.is_ok());
}

#[tokio::test]
async fn the_first_key_turns_access_control_on_everywhere_and_for_good() {
    let database = Database::create().await;
    let (here, there) = (server(&database).await, server(&database).await);
    let anonymous = there.identify(None, None).await.expect("anybody");
    assert_eq!((&anonymous.grant, anonymous.credential), (&Grant::Anonymous, CredentialId::Anonymous));
    let watch = there.watch(&anonymous);
    let made = key(&here, Role::Admin).await;
    assert!(here.is_required() && matches!(here.identify(None, None).await, Err(AuthError::Missing)));
    tokio::time::timeout(DEADLINE, watch.cancelled()).await.expect("told");
    assert!(there.is_required() && matches!(there.identify(None, None).await, Err(AuthError::Missing)));
    here.revoke_key(&default_project(), made.key.id).await.expect("revoked");
    assert!(server(&database).await.is_required(), "revoking the last key opens nothing");
}

#[tokio::test]
async fn the_settings_say_when_a_key_is_needed() {
    let database = Database::create().await;
    let with = |requirement| AccessSettings { requirement, ..settings(FAST) };
    assert!(server_with(&database, with(Requirement::Always)).await.is_required());
    let open = server_with(&database, with(Requirement::Never)).await;
    let made = key(&open, Role::Viewer).await;
    assert!(!open.is_required() && open.identify(None, None).await.is_ok());
    assert_eq!(caller(&open, made.text.reveal()).await.role(), Some(Role::Viewer));
    assert!(matches!(bearer(&open, "wrong").await, Err(AuthError::Invalid)), "who shows a key shows a valid one");
}

#[tokio::test]
async fn a_request_costs_no_query_and_use_is_written_together() {
    let database = Database::create().await;
    let access = server_with(&database, settings(SLOW)).await;
    let made = key(&access, Role::Viewer).await;
    let text = made.text.reveal();
    caller(&access, text).await;
    let storage = database.storage();
    let pool = storage.pool();
    sqlx::query("ALTER TABLE api_keys RENAME TO hidden").execute(pool).await.expect("renamed");
    for _ in 0..1_000 {
        caller(&access, text).await;
    }
    sqlx::query("ALTER TABLE hidden RENAME TO api_keys").execute(pool).await.expect("renamed");
    let written = "SELECT last_used_at IS NOT NULL FROM api_keys";
    assert!(!sqlx::query_scalar::<_, bool>(written).fetch_one(pool).await.expect("a row"));
    let listed = access.keys(&default_project(), None, 10).await.expect("keys");
    assert!(listed.items[0].last_used_at.is_some_and(|at| Timestamp::now().since(at) < DEADLINE));
    access.shutdown().await;
    assert!(sqlx::query_scalar::<_, bool>(written).fetch_one(pool).await.expect("a row"));
}

#[tokio::test]
async fn root_is_in_any_project_that_exists() {
    let database = Database::create().await;
    let root = |key: &str| AccessSettings { root_key: Some(key.to_owned()), ..settings(FAST) };
    let access = server_with(&database, root("a root key")).await;
    let found = caller(&access, "a root key").await;
    assert_eq!((found.role(), found.project.as_str()), (Some(Role::Root), "default"));
    assert!(bearer(&access, "a root ke").await.is_err() && bearer(&access, "a root key ").await.is_err());
    let blue: ProjectId = "blue".parse().expect("an id");
    assert!(access.in_project(found.clone(), blue.clone()).await.expect("answered").is_none());
    database.storage().create_project(&blue, "Blue", Timestamp::now()).await.expect("made");
    let elsewhere = access.in_project(found, blue.clone()).await.expect("answered").expect("a project");
    assert_eq!(elsewhere.project, blue);
    // Whoever is not root stays where they are.
    let made = key(&access, Role::Admin).await;
    let admin = caller(&access, made.text.reveal()).await;
    assert!(access.in_project(admin.clone(), blue).await.is_err());
    assert_eq!(access.in_project(admin.clone(), default_project()).await.expect("answered"), Some(admin));
    assert!(!access.is_metrics_token("a root key"));
    assert!(bearer(&server_with(&database, root("another")).await, "a root key").await.is_err());
}

#[tokio::test]
async fn who_fails_too_often_waits_and_others_do_not() {
    let access = server(&Database::create().await).await;
    let made = key(&access, Role::Viewer).await;
    let fresh = key(&access, Role::Viewer).await;
    let from = |address: &str| Some(address.parse::<IpAddr>().expect("an address"));
    let tried = async |text: &str, address| access.identify(Some(Credential::Bearer(text)), from(address)).await;
    assert!(tried(made.text.reveal(), "192.0.2.1").await.is_ok());
    for _ in 0..20 {
        assert!(matches!(tried("wrong", "192.0.2.1").await, Err(AuthError::Invalid)));
    }
    assert!(matches!(tried("wrong", "192.0.2.1").await, Err(AuthError::Limited { .. })));
    assert!(
        matches!(tried(fresh.text.reveal(), "192.0.2.1").await, Err(AuthError::Limited { .. })),
        "not even a right one"
    );
    assert!(tried(made.text.reveal(), "192.0.2.1").await.is_ok(), "but one that was right before");
    assert!(tried(fresh.text.reveal(), "192.0.2.2").await.is_ok(), "and others");
    assert!(matches!(access.identify(None, from("192.0.2.1")).await, Err(AuthError::Missing)));
}

#[tokio::test]
async fn keys_are_listed_by_project_without_what_makes_them_usable() {
    let database = Database::create().await;
    let access = server(&database).await;
    let blue: ProjectId = "blue".parse().expect("an id");
    let options = NewKeyOptions { project: &blue, name: "b", role: Role::Viewer, expires_at: None };
    assert!(access.create_key(options).await.is_err(), "there is no such project");
    database.storage().create_project(&blue, "Blue", Timestamp::now()).await.expect("made");
    access.create_key(options).await.expect("a key");
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(key(&access, Role::Viewer).await);
    }
    let page = access.keys(&default_project(), None, 2).await.expect("keys");
    let rest = access.keys(&default_project(), page.next, 2).await.expect("keys");
    let listed: Vec<_> = page.items.iter().chain(&rest.items).map(|key| key.id).collect();
    assert_eq!(listed, made.iter().rev().map(|made| made.key.id).collect::<Vec<_>>());
    assert!(rest.next.is_none());
    let json = serde_json::to_string(&page.items).expect("JSON");
    assert!(made.iter().all(|made| !json.contains(made.text.reveal())), "{json}");
    assert!(json.contains(made[2].text.prefix()), "{json}");
}
