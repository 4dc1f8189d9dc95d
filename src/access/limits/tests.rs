use std::sync::Arc;

use relive_session::{Actor, ActorKind, ProjectId};
use uuid::Uuid;

use super::*;

fn key(n: u128) -> Caller {
    Caller { credential: CredentialId::Key(Uuid::from_u128(n)), ..Caller::anonymous(ProjectId::default_project()) }
}

fn anonymous() -> Caller {
    Caller::anonymous(ProjectId::default_project())
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn number(limit: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(limit)
}

#[tokio::test(start_paused = true)]
async fn commands_are_counted_by_key_and_come_back_with_time() {
    let limits = Limits::new(LimitSettings { commands: number(10), ..LimitSettings::default() });
    assert_eq!(limits.commands(&key(1), None, 9), Ok(()));
    assert_eq!(limits.commands(&key(1), None, 1), Ok(()));
    let limited = limits.commands(&key(1), None, 5).expect_err("too many");
    assert_eq!((limited.limit, limited.retry_after_seconds()), (10, 1));
    assert_eq!(limited.to_string(), "too many commands; at most 10 a second");
    assert_eq!(limits.commands(&key(2), None, 10), Ok(()), "another key");
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(limits.commands(&key(1), None, 5), Ok(()), "what was refused was not counted");
    assert!(limits.commands(&key(1), None, 1).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_array_of_more_than_a_seconds_worth_is_a_debt() {
    let limits = Limits::new(LimitSettings { commands: number(10), ..LimitSettings::default() });
    assert_eq!(limits.commands(&key(1), None, 1), Ok(()));
    let limited = limits.commands(&key(1), None, 35).expect_err("one was used already");
    assert!(limited.retry_after <= Duration::from_millis(100), "{limited:?}");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(limits.commands(&key(1), None, 35), Ok(()));
    tokio::time::advance(Duration::from_millis(2_500)).await;
    let limited = limits.commands(&key(1), None, 1).expect_err("the debt is not paid");
    assert_eq!(limited.retry_after_seconds(), 1);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(limits.commands(&key(1), None, 1), Ok(()), "35 in 2.6 s, with the burst of 10");
    // What no submission may have is counted as the longest that it may.
    assert_eq!(limits.commands(&key(2), None, usize::MAX), Ok(()));
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(limits.commands(&key(2), None, 10), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_tokens_counts_with_them() {
    let limits = Limits::new(LimitSettings { requests: number(1), ..LimitSettings::default() });
    let with = |credential| Caller { credential, ..anonymous() };
    let (id, key) = (Uuid::from_u128(1), Some(Uuid::from_u128(2)));
    let token = |issuer| with(CredentialId::Token { id, issuer });
    let sign_in = |key, is_root| with(CredentialId::SignIn { id, key, is_root });
    let user = Arc::new(Actor::new(ActorKind::User, "7", "Ada"));
    let by_ada = TokenIssuer::User(person(&ProjectId::default_project(), &user));
    let ada = Caller { actor: Some(user), ..with(CredentialId::OidcToken) };
    let root = with(CredentialId::Root);
    for (one, others) in [
        (self::key(2), [token(TokenIssuer::Key(Uuid::from_u128(2))), sign_in(key, false)]),
        (root, [token(TokenIssuer::Root(3)), sign_in(None, true)]),
        (ada, [token(by_ada), token(by_ada)]),
        (anonymous(), [token(TokenIssuer::Anonymous), anonymous()]),
    ] {
        assert_eq!(limits.request(&one, None), Ok(()), "{one:?}");
        for other in others {
            assert!(limits.request(&other, None).is_err(), "{other:?}");
        }
    }
    assert_eq!(limits.request(&token(TokenIssuer::Key(Uuid::from_u128(9))), None), Ok(()), "another key");
    assert_eq!(limits.request(&token(TokenIssuer::User(9)), None), Ok(()), "somebody else");
}

#[tokio::test(start_paused = true)]
async fn who_is_anonymous_is_counted_by_address() {
    let limits = Limits::new(LimitSettings { requests: number(1), ..LimitSettings::default() });
    assert_eq!(limits.request(&anonymous(), Some(address("192.0.2.1"))), Ok(()));
    assert_eq!(limits.request(&anonymous(), Some(address("192.0.2.2"))), Ok(()));
    assert!(limits.request(&anonymous(), Some(address("192.0.2.1"))).is_err());
    assert!(limits.request(&anonymous(), Some(address("::ffff:192.0.2.1"))).is_err(), "the same address");
    assert_eq!(limits.request(&anonymous(), Some(address("2001:db8::1"))), Ok(()));
    assert!(limits.request(&anonymous(), Some(address("2001:db8::ffff"))).is_err(), "the same network");
    assert_eq!(limits.request(&anonymous(), Some(address("2001:db8:0:1::1"))), Ok(()));
    assert_eq!(limits.request(&key(1), Some(address("192.0.2.1"))), Ok(()), "a key is not its address");
}

#[tokio::test(start_paused = true)]
async fn a_person_is_counted_once_whatever_their_tokens() {
    let limits = Limits::new(LimitSettings { requests: number(1), ..LimitSettings::default() });
    let user = |credential| Caller {
        credential,
        actor: Some(Arc::new(Actor::new(ActorKind::User, "7", "Ada"))),
        ..anonymous()
    };
    assert_eq!(limits.request(&user(CredentialId::OidcToken), None), Ok(()));
    assert!(
        limits
            .request(&user(CredentialId::SignIn { id: Uuid::from_u128(1), key: None, is_root: false }), None)
            .is_err()
    );
}

#[tokio::test]
async fn sockets_count_while_they_are_open() {
    let limits = Limits::new(LimitSettings { sockets: number(2), ..LimitSettings::default() });
    let first = limits.socket(&key(1), None).expect("room");
    let _second = limits.socket(&key(1), None).expect("room");
    assert!(limits.socket(&key(1), None).is_err());
    assert!(limits.socket(&key(2), None).is_ok());
    drop(first);
    assert!(limits.socket(&key(1), None).is_ok());
    assert_eq!(limits.sockets.len(), 1, "what is closed takes no room");
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_and_looking_uses_nothing() {
    let limits = Limits::new(LimitSettings::default());
    let here = Some(address("192.0.2.1"));
    for _ in 0..UNAUTHORIZED {
        assert_eq!(limits.may_try(here), Ok(()));
        assert_eq!(limits.failed(here), Ok(()));
    }
    let limited = limits.may_try(here).expect_err("too many");
    assert_eq!((limited.limit, limited.retry_after_seconds()), (20, 3));
    assert!(limits.failed(here).is_err());
    assert_eq!(limits.may_try(Some(address("192.0.2.2"))), Ok(()));
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(limits.may_try(here), Ok(()));
}

#[test]
fn without_settings_nothing_else_is_limited() {
    let limits = Limits::new(LimitSettings::default());
    for _ in 0..1_000 {
        assert_eq!(limits.commands(&anonymous(), None, 1_000), Ok(()));
        assert_eq!(limits.request(&anonymous(), None), Ok(()));
        std::mem::forget(limits.socket(&anonymous(), None).expect("room"));
    }
    assert!(limits.live_sessions().is_none());
}
