//! OpenID Connect, against a real provider.

use std::time::Duration;

use relive::access::oidc::{OidcSettings, ProviderAnswer, SignInError};
use relive::access::{
    Access, AccessSettings, AuthError, BegunSignIn, Credential, CredentialId, Requirement, Role, Timing,
};
use relive_session::{ActorKind, Timestamp};
use serde_json::{Value, json};

use super::{FAST, bearer, caller, server_with, settings};
use crate::harness::{DEADLINE, Database, Provider, eventually};

const REDIRECT: &str = "http://127.0.0.1:7400/auth/callback";

fn with(provider: &Provider, change: impl FnOnce(&mut OidcSettings), timing: Timing) -> AccessSettings {
    let mut oidc = OidcSettings {
        issuer: provider.issuer.clone(),
        client_id: "relive".to_owned(),
        client_secret: Some("secret &+%".to_owned()),
        audience: Some("relive-api".to_owned()),
        role_claim: "relive_role".to_owned(),
        project_claim: None,
    };
    change(&mut oidc);
    AccessSettings { oidc: Some(oidc), requirement: Requirement::Always, ..settings(timing) }
}

async fn server(provider: &Provider) -> Access {
    server_with(&Database::create().await, with(provider, |_| {}, FAST)).await
}

async fn is_invalid(access: &Access, provider: &Provider, what: Value) {
    let token = provider.mint(what.clone()).await;
    let outcome = bearer(access, &token).await;
    assert!(matches!(outcome, Err(AuthError::Invalid)), "{what}: {outcome:?}");
}

#[tokio::test]
async fn a_bearer_token_of_the_provider_is_accepted() {
    let Some(provider) = Provider::shared().await else { return };
    let access = server(&provider).await;
    let found = caller(&access, &provider.program_token().await).await;
    assert_eq!((found.role(), found.project.as_str()), (Some(Role::Engine), "default"));
    assert_eq!(found.credential, CredentialId::OidcToken);
    let actor = found.actor.expect("an actor");
    assert_eq!((actor.kind, &*actor.id), (ActorKind::User, "program"));
    let token = provider.mint(json!({"claims": {"name": "Ada", "relive_role": ["staff", "reviewer"]}})).await;
    let found = caller(&access, &token).await;
    assert_eq!((found.role(), &*found.actor.expect("an actor").name), (Some(Role::Reviewer), "Ada"));
    let several = provider.mint(json!({"claims": {"aud": ["other", "relive-api"]}})).await;
    assert!(bearer(&access, &several).await.is_ok());
    let none = provider.mint(json!({"claims": {"relive_role": "owner"}})).await;
    assert!(matches!(bearer(&access, &none).await, Err(AuthError::NoRole(claim)) if claim == "relive_role"));
}

#[tokio::test]
async fn tokens_that_are_not_the_providers_or_not_for_us_are_refused() {
    let Some(provider) = Provider::shared().await else { return };
    let access = server(&provider).await;
    for what in [
        json!({"signer": "foreign"}),
        json!({"signer": "none"}),
        json!({"signer": "secret"}),
        json!({"claims": {"iss": "https://id.example"}}),
        json!({"claims": {"iss": format!("{}/", provider.issuer)}}),
        json!({"claims": {"iss": [provider.issuer]}}),
        json!({"claims": {"iss": null}}),
        json!({"claims": {"aud": "another-api"}}),
        json!({"claims": {"aud": ["another-api"]}}),
        json!({"claims": {"aud": null}}),
        json!({"claims": {"aud": 7}}),
        json!({"claims": {"sub": null}}),
        json!({"claims": {"sub": ""}}),
        json!({"claims": {"sub": "x".repeat(256)}}),
        json!({"claims": {"exp": null}}),
        json!({"claims": {"exp": "soon"}}),
        json!({"header": {"kid": "another"}}),
    ] {
        is_invalid(&access, &provider, what).await;
    }
    let good = provider.mint(json!({})).await;
    assert!(bearer(&access, &good).await.is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    for changed in [format!("{}.{}.", parts[0], parts[1]), format!("{}.{}.AAAA", parts[0], parts[1])] {
        assert!(matches!(bearer(&access, &changed).await, Err(AuthError::Invalid)), "{changed}");
    }
    // Of the audience that the settings name, and without one, of the client.
    let plain = server_with(&Database::create().await, with(&provider, |oidc| oidc.audience = None, FAST)).await;
    assert!(bearer(&plain, &good).await.is_err());
    assert!(bearer(&plain, &provider.mint(json!({"claims": {"aud": "relive"}})).await).await.is_ok());
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute_and_not_by_more() {
    let Some(provider) = Provider::shared().await else { return };
    let access = server(&provider).await;
    let now = Timestamp::now().as_millis() / 1_000;
    let outcome = async |claim: &str, seconds: i64| {
        let token = provider.mint(json!({"claims": {claim: now + seconds}})).await;
        bearer(&access, &token).await.map(drop)
    };
    assert!(outcome("exp", -40).await.is_ok());
    assert!(matches!(outcome("exp", -90).await, Err(AuthError::Expired)));
    assert!(outcome("nbf", 40).await.is_ok());
    assert!(matches!(outcome("nbf", 90).await, Err(AuthError::Invalid)));
    // A caller lasts as long as its token is accepted.
    let token = provider.mint(json!({"claims": {"exp": now + 10}})).await;
    let lasts = caller(&access, &token).await.expires_at.expect("a time");
    assert_eq!(lasts.as_millis(), (now + 70) * 1_000);
}

#[tokio::test]
async fn a_claim_may_be_nested_and_name_the_project() {
    let Some(provider) = Provider::shared().await else { return };
    let nested = |oidc: &mut OidcSettings| {
        oidc.role_claim = "access.roles".to_owned();
        oidc.project_claim = Some("team".to_owned());
    };
    let database = Database::create().await;
    let access = server_with(&database, with(&provider, nested, FAST)).await;
    let claims = json!({"access": {"roles": ["x", "admin"]}, "team": "blue"});
    let token = provider.mint(json!({ "claims": claims })).await;
    assert!(matches!(bearer(&access, &token).await, Err(AuthError::NoProject(_))), "there is no such project yet");
    let blue = "blue".parse().expect("an id");
    database.storage().create_project(&blue, "Blue", Timestamp::now()).await.expect("made");
    let found = caller(&access, &token).await;
    assert_eq!((found.role(), found.project.as_str()), (Some(Role::Admin), "blue"));
    for team in [json!(null), json!("Blue!"), json!(["blue"])] {
        let claims = json!({"access": {"roles": ["admin"]}, "team": team});
        let outcome = bearer(&access, &provider.mint(json!({ "claims": claims })).await).await;
        assert!(matches!(outcome, Err(AuthError::NoProject(_))), "{team}: {outcome:?}");
    }
    let watch = access.watch(&found);
    let there = server_with(&database, with(&provider, nested, FAST)).await;
    assert!(there.delete_project(&blue).await.expect("deleted"));
    tokio::time::timeout(DEADLINE, watch.cancelled()).await.expect("told");
    let outcome = bearer(&access, &token).await;
    assert!(matches!(outcome, Err(AuthError::NoProject(_))), "it was deleted: {outcome:?}");
}

#[tokio::test]
async fn new_keys_are_found_at_once() {
    let Some(provider) = Provider::start().await else { return };
    let access = server(&provider).await;
    let before = provider.mint(json!({})).await;
    assert!(bearer(&access, &before).await.is_ok());
    provider.rotate().await;
    let after = provider.mint(json!({})).await;
    assert!(bearer(&access, &after).await.is_ok());
}

#[tokio::test]
async fn keys_that_were_withdrawn_are_not_accepted_for_ever() {
    let Some(provider) = Provider::start().await else { return };
    let timing = Timing { provider_keys: Duration::from_millis(50), ..FAST };
    let access = server_with(&Database::create().await, with(&provider, |_| {}, timing)).await;
    let before = provider.mint(json!({})).await;
    assert!(bearer(&access, &before).await.is_ok());
    provider.rotate().await;
    eventually("the old key is withdrawn", async || matches!(bearer(&access, &before).await, Err(AuthError::Invalid)))
        .await;
}

#[tokio::test]
async fn made_up_keys_do_not_make_us_ask_the_provider_each_time() {
    let Some(provider) = Provider::start().await else { return };
    let timing = Timing { provider: Duration::from_secs(3_600), ..FAST };
    let access = server_with(&Database::create().await, with(&provider, |_| {}, timing)).await;
    let good = provider.mint(json!({})).await;
    for n in 0..50 {
        is_invalid(&access, &provider, json!({"header": {"kid": format!("made-up-{n}")}})).await;
    }
    assert!(bearer(&access, &good).await.is_ok());
    assert_eq!(provider.reads().await, 1);
}

#[tokio::test]
async fn while_the_provider_is_away_known_keys_go_on() {
    let Some(provider) = Provider::start().await else { return };
    let database = Database::create().await;
    let settings = with(&provider, |_| {}, FAST);
    let access = server_with(&database, settings.clone()).await;
    let [first, second] = [json!({}), json!({"claims": {"sub": "bob"}})].map(|what| provider.mint(what));
    let (first, second) = (first.await, second.await);
    let unknown = provider.mint(json!({"header": {"kid": "another"}})).await;
    assert!(bearer(&access, &first).await.is_ok());
    provider.stop();
    for _ in 0..3 {
        assert!(bearer(&access, &first).await.is_ok() && bearer(&access, &second).await.is_ok());
        assert!(matches!(bearer(&access, &unknown).await, Err(AuthError::Unavailable(_))));
    }
    let late = server_with(&database, settings).await;
    assert!(matches!(bearer(&late, &first).await, Err(AuthError::Unavailable(_))));
    let begun = late.begin_sign_in(REDIRECT, "/").await;
    assert!(matches!(begun, Err(SignInError::Auth(AuthError::Unavailable(_)))));
}

/// The address to send the browser to, with a parameter that is another one.
fn changed(begun: &BegunSignIn, name: &str, value: &str) -> String {
    let mut address = reqwest::Url::parse(&begun.location).expect("an address");
    let kept: Vec<(String, String)> = address.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    address.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
    address.into()
}

fn answer(parameters: &[(String, String)]) -> ProviderAnswer {
    let of = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    ProviderAnswer { code: of("code"), state: of("state"), iss: of("iss"), error: of("error") }
}

async fn begin(access: &Access) -> BegunSignIn {
    access.begin_sign_in(REDIRECT, "/sessions?status=running").await.expect("begun")
}

#[tokio::test]
async fn a_person_signs_in_and_out() {
    let Some(provider) = Provider::shared().await else { return };
    for public in [false, true] {
        let change = |oidc: &mut OidcSettings| {
            if public {
                (oidc.client_id, oidc.client_secret) = ("public".to_owned(), None);
            }
        };
        let access = server_with(&Database::create().await, with(&provider, change, FAST)).await;
        let begun = begin(&access).await;
        assert!(begun.location.starts_with(&provider.issuer) && begun.location.contains("code_challenge_method=S256"));
        let answer = answer(&provider.sign_in(&begun.location).await);
        let (signed_in, return_to) = access.finish_sign_in(Some(&begun.pending), &answer).await.expect("signed in");
        assert_eq!(return_to, "/sessions?status=running");
        let cookie = Credential::Cookie(&signed_in.cookie);
        let found = access.identify(Some(cookie), None).await.expect("valid");
        // The role stands in what the provider says of the person, not in the ID token.
        assert_eq!(found.role(), Some(Role::Operator));
        let actor = found.actor.clone().expect("an actor");
        assert_eq!((actor.kind, &*actor.id, &*actor.name), (ActorKind::User, "ada", "Ada"));
        // A code and its cookie serve once.
        let again = access.finish_sign_in(Some(&begun.pending), &answer).await;
        assert!(matches!(again, Err(SignInError::NotBegun)), "{again:?}");
        access.sign_out(&found).await.expect("signed out");
        assert!(matches!(access.identify(Some(cookie), None).await, Err(AuthError::Invalid)));
    }
}

#[tokio::test]
async fn another_servers_answer_is_the_same_sign_in() {
    let Some(provider) = Provider::shared().await else { return };
    let database = Database::create().await;
    let one = server_with(&database, with(&provider, |_| {}, FAST)).await;
    let other = server_with(&database, with(&provider, |_| {}, FAST)).await;
    let begun = begin(&one).await;
    let answer = answer(&provider.sign_in(&begun.location).await);
    let (signed_in, _) = other.finish_sign_in(Some(&begun.pending), &answer).await.expect("signed in");
    assert!(one.identify(Some(Credential::Cookie(&signed_in.cookie)), None).await.is_ok());
}

#[tokio::test]
async fn a_sign_in_that_was_begun_elsewhere_or_tampered_with_is_refused() {
    let Some(provider) = Provider::shared().await else { return };
    let access = server(&provider).await;
    let begun = begin(&access).await;
    let other = begin(&access).await;
    let good = answer(&provider.sign_in(&begun.location).await);
    let refused = async |pending: Option<&str>, answer: &ProviderAnswer| {
        let outcome = access.finish_sign_in(pending, answer).await;
        assert!(matches!(outcome, Err(SignInError::NotBegun)), "{answer:?}: {outcome:?}");
    };
    let pending = Some(&*begun.pending);
    refused(None, &good).await;
    refused(Some(&other.pending), &good).await;
    refused(Some("x"), &good).await;
    refused(Some(&begun.pending[1..]), &good).await;
    refused(pending, &ProviderAnswer { state: None, ..good.clone() }).await;
    refused(pending, &ProviderAnswer { state: Some("x".to_owned()), ..good.clone() }).await;
    refused(pending, &ProviderAnswer { iss: Some("https://id.example".to_owned()), ..good.clone() }).await;
    refused(pending, &ProviderAnswer { iss: None, ..good.clone() }).await;
    refused(pending, &ProviderAnswer { code: None, ..good.clone() }).await;
    refused(pending, &ProviderAnswer { code: Some("x".to_owned()), ..good.clone() }).await;
    refused(pending, &ProviderAnswer { code: Some("x".repeat(5_000)), ..good.clone() }).await;
    // What this server signs for other purposes is not taken for it, nor the other way round.
    let made = super::key(&access, Role::Viewer).await;
    let issuer = caller(&access, made.text.reveal()).await;
    let scopes = relive::access::Scopes::parse(&["read:sessions"]).expect("scopes");
    let token = access.issue_token(&issuer, scopes, None).await.expect("a token");
    refused(Some(&token.token), &good).await;
    assert!(matches!(bearer(&access, &begun.pending).await, Err(AuthError::Invalid)));
    assert!(access.finish_sign_in(pending, &good).await.is_ok(), "the good one is good");

    // The code of a sign-in that somebody else began: its challenge is another one.
    let begun = begin(&access).await;
    let stolen = provider.sign_in(&changed(&begun, "code_challenge", &"a".repeat(43))).await;
    refused(Some(&begun.pending), &answer(&stolen)).await;
    // An ID token with another nonce.
    let begun = begin(&access).await;
    let replayed = answer(&provider.sign_in(&changed(&begun, "nonce", "another")).await);
    let outcome = access.finish_sign_in(Some(&begun.pending), &replayed).await;
    assert!(matches!(outcome, Err(SignInError::Auth(AuthError::Invalid))), "{outcome:?}");
    // Somebody without a role.
    let begun = begin(&access).await;
    let bob = answer(&provider.sign_in(&changed(&begun, "login_hint", "bob")).await);
    let outcome = access.finish_sign_in(Some(&begun.pending), &bob).await;
    assert!(matches!(outcome, Err(SignInError::Auth(AuthError::NoRole(_)))), "{outcome:?}");
    // What the provider refuses.
    let begun = begin(&access).await;
    let declined = answer(&provider.sign_in(&changed(&begun, "prompt", "none")).await);
    let outcome = access.finish_sign_in(Some(&begun.pending), &declined).await;
    assert!(matches!(&outcome, Err(SignInError::Refused(word)) if word == "login_required"), "{outcome:?}");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let database = Database::create().await;
    for (issuer, client_id) in [("http://id.example", "relive"), ("id.example", "relive"), ("", "relive")] {
        let oidc = OidcSettings {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: None,
            audience: None,
            role_claim: "role".to_owned(),
            project_claim: None,
        };
        let settings = AccessSettings { oidc: Some(oidc), ..settings(FAST) };
        let Err(error) = Access::start(database.storage(), settings).await else { panic!("{issuer} {client_id}") };
        assert!(error.to_string().contains("RELIVE_OIDC_"), "{error}");
    }
}
