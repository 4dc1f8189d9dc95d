//! Limits of callers and addresses.
//!
//! They are counted in memory, so in a fleet each holds per server: with three servers behind a balancer, a key
//! may do up to three times as much. Callers are told apart by their key or their person, whose access tokens and
//! sign-ins count as them, and by their address while access control is off. What a limit counts is forgotten when
//! the server restarts. Live sessions are counted in the database, for all servers together: see [`LiveSessionQuota`].

mod bounded;
mod live;

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bounded::{BoundedMap, Charge, Peek, TokioClock};
use dashmap::DashMap;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use super::{Caller, CredentialId, TokenIssuer, person};
use relive_session::limits::COMMANDS;

pub use live::{LiveSessionPermit, LiveSessionQuota, QuotaExceeded};

/// Failed sign-ins of one address in a minute.
pub const UNAUTHORIZED: u32 = 20;
/// How long a socket waits for a limit of sockets at least.
const SOCKETS_RETRY: Duration = Duration::from_secs(5);

/// The limits. `None`: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Commands per second and key.
    pub commands: Option<NonZeroU32>,
    /// Requests per second and key.
    pub requests: Option<NonZeroU32>,
    /// Open sockets per key.
    pub sockets: Option<NonZeroU32>,
    /// Sessions of a project that have not ended.
    pub live_sessions: Option<NonZeroU32>,
    /// Failed sign-ins per address and minute.
    pub unauthorized: Option<NonZeroU32>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            commands: None,
            requests: None,
            sockets: None,
            live_sessions: None,
            unauthorized: NonZeroU32::new(UNAUTHORIZED),
        }
    }
}

/// A limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many {what}; at most {limit} {per}")]
pub struct Limited {
    pub what: &'static str,
    pub limit: u32,
    pub per: &'static str,
    /// When it may be tried again: for `Retry-After`, rounded up to a second.
    pub retry_after: Duration,
}

impl Limited {
    /// For `Retry-After`: at least a second.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        (self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0)).max(1)
    }
}

/// Who is counted: whoever can make further credentials counts with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Root,
    Key(Uuid),
    /// Somebody who signs in by tokens of an issuer; see [`person`].
    User(u64),
    Address(IpAddr),
    /// Anonymous, and from an address that is not known.
    Nobody,
}

impl Counted {
    fn of(caller: &Caller, from: Option<IpAddr>) -> Self {
        match caller.credential {
            CredentialId::Anonymous | CredentialId::Token { issuer: TokenIssuer::Anonymous, .. } => Self::address(from),
            CredentialId::Root
            | CredentialId::Token { issuer: TokenIssuer::Root(_), .. }
            | CredentialId::SignIn { is_root: true, .. } => Self::Root,
            CredentialId::Key(key)
            | CredentialId::Token { issuer: TokenIssuer::Key(key), .. }
            | CredentialId::SignIn { key: Some(key), .. } => Self::Key(key),
            CredentialId::Token { issuer: TokenIssuer::User(user), .. } => Self::User(user),
            CredentialId::OidcToken | CredentialId::SignIn { .. } => {
                caller.actor.as_deref().map_or(Self::Nobody, |actor| Self::User(person(&caller.project, actor)))
            }
        }
    }

    fn address(from: Option<IpAddr>) -> Self {
        from.map_or(Self::Nobody, |address| Self::Address(network(address)))
    }
}

/// What counts as one address: of IPv6 a network of 64 bits, which is what a single customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

type Limiter<K, S> = RateLimiter<K, S, TokioClock, NoOpMiddleware<Duration>>;

/// A rate for each of those who are counted.
struct Rate {
    limiter: Limiter<Charge<Counted>, BoundedMap<Counted>>,
    peek: Limiter<Counted, Peek<Counted>>,
    clock: TokioClock,
    limit: NonZeroU32,
    /// The time in which one permit is replenished.
    interval: Duration,
    what: &'static str,
    per: &'static str,
}

impl Rate {
    fn new(quota: Quota, what: &'static str, per: &'static str) -> Self {
        let clock = TokioClock::new();
        let state = BoundedMap::new(clock);
        let peek = RateLimiter::new(quota, state.peek(), clock);
        let (limit, interval) = (quota.burst_size(), quota.replenish_interval());
        Self { limiter: RateLimiter::new(quota, state, clock), peek, clock, limit, interval, what, per }
    }

    /// Takes `number` permits. A number larger than the burst is admitted when the bucket is full, and the excess is
    /// charged as debt: nothing is admitted until it is paid off.
    fn take(&self, who: Counted, number: u32) -> Result<(), Limited> {
        let Some(at_once) = NonZeroU32::new(number.min(self.limit.get())) else { return Ok(()) };
        let charge = Charge { who, debt: self.interval.saturating_mul(number - at_once.get()) };
        match self.limiter.check_key_n(&charge, at_once) {
            Ok(Err(until)) => Err(self.limited(until.wait_time_from(self.clock.now()))),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Whether one more would be allowed; nothing is used.
    fn look(&self, who: Counted) -> Result<(), Limited> {
        self.peek.check_key(&who).map_err(|until| self.limited(until.wait_time_from(self.clock.now())))
    }

    fn limited(&self, retry_after: Duration) -> Limited {
        Limited { what: self.what, limit: self.limit.get(), per: self.per, retry_after }
    }
}

/// The limits of a server and what was used of them.
pub struct Limits {
    settings: LimitSettings,
    commands: Option<Rate>,
    requests: Option<Rate>,
    unauthorized: Option<Rate>,
    /// Bounded by the sockets that are open.
    sockets: Arc<DashMap<Counted, u32>>,
    live_sessions: Option<LiveSessionQuota>,
}

impl Limits {
    #[must_use]
    pub fn new(settings: LimitSettings) -> Self {
        let per_second = |what| move |limit| Rate::new(Quota::per_second(limit), what, "a second");
        Self {
            settings,
            commands: settings.commands.map(per_second("commands")),
            requests: settings.requests.map(per_second("requests")),
            unauthorized: settings
                .unauthorized
                .map(|limit| Rate::new(Quota::per_minute(limit), "failed sign-ins", "a minute")),
            sockets: Arc::default(),
            live_sessions: settings.live_sessions.map(LiveSessionQuota::new),
        }
    }

    /// Counts commands; an array of them counts with its length. One that is longer than the limit is allowed when
    /// the caller has used nothing of it; the next command then has to wait until all of the array has come back.
    ///
    /// # Errors
    ///
    /// If the caller has sent too many in the last second. They are not counted then.
    pub fn commands(&self, caller: &Caller, from: Option<IpAddr>, number: usize) -> Result<(), Limited> {
        // A longer array is refused as a whole, and is no debt of hours.
        let number = u32::try_from(number.min(COMMANDS)).unwrap_or(u32::MAX);
        self.commands.as_ref().map_or(Ok(()), |rate| rate.take(Counted::of(caller, from), number))
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// If the caller has sent too many in the last second.
    pub fn request(&self, caller: &Caller, from: Option<IpAddr>) -> Result<(), Limited> {
        self.requests.as_ref().map_or(Ok(()), |rate| rate.take(Counted::of(caller, from), 1))
    }

    /// Counts a socket for as long as the permit is held.
    ///
    /// # Errors
    ///
    /// If the caller has as many open as are allowed.
    pub fn socket(&self, caller: &Caller, from: Option<IpAddr>) -> Result<SocketPermit, Limited> {
        let Some(limit) = self.settings.sockets else { return Ok(SocketPermit(None)) };
        let who = Counted::of(caller, from);
        let mut open = self.sockets.entry(who).or_insert(0);
        if *open >= limit.get() {
            return Err(Limited { what: "sockets", limit: limit.get(), per: "at a time", retry_after: SOCKETS_RETRY });
        }
        *open += 1;
        drop(open);
        Ok(SocketPermit(Some((Arc::clone(&self.sockets), who))))
    }

    /// The places for live sessions, if their number is limited.
    #[must_use]
    pub fn live_sessions(&self) -> Option<&LiveSessionQuota> {
        self.live_sessions.as_ref()
    }

    /// Counts a failed sign-in of an address.
    ///
    /// # Errors
    ///
    /// If there were too many in the last minute.
    pub fn failed(&self, from: Option<IpAddr>) -> Result<(), Limited> {
        self.unauthorized.as_ref().map_or(Ok(()), |rate| rate.take(Counted::address(from), 1))
    }

    /// Whether an address may try once more.
    ///
    /// # Errors
    ///
    /// If there were too many failures in the last minute.
    pub fn may_try(&self, from: Option<IpAddr>) -> Result<(), Limited> {
        self.unauthorized.as_ref().map_or(Ok(()), |rate| rate.look(Counted::address(from)))
    }
}

/// A socket that counts until this is dropped.
#[must_use]
#[derive(Debug)]
pub struct SocketPermit(Option<(Arc<DashMap<Counted, u32>>, Counted)>);

impl Drop for SocketPermit {
    fn drop(&mut self) {
        let Some((sockets, who)) = self.0.take() else { return };
        sockets.remove_if_mut(&who, |_, open| {
            *open = open.saturating_sub(1);
            *open == 0
        });
    }
}

#[cfg(test)]
mod tests;
