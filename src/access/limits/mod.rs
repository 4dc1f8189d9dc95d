//! Limits of callers and addresses.
//!
//! They are counted in memory, so in a fleet each holds per server: with three servers behind a balancer, a key
//! may do up to three times as much. Callers are told apart by their credential, and by their address while access
//! control is off. What a limit counts is forgotten when the server restarts.

mod bounded;

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bounded::{Bounded, Peek, TokioClock};
use dashmap::DashMap;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};

use super::{Caller, CredentialId};

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

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Credential(CredentialId),
    /// A person who signs in by tokens of an issuer: the hash of the subject.
    User(u64),
    Address(IpAddr),
    /// Anonymous, and from an address that is not known.
    Nobody,
}

impl Counted {
    fn of(caller: &Caller, from: Option<IpAddr>) -> Self {
        match (caller.credential, &caller.actor) {
            (CredentialId::Anonymous, _) => Self::address(from),
            // Every token that the issuer gives is another one; the person is the same.
            (CredentialId::Issuer | CredentialId::SignIn { .. }, Some(actor)) => {
                use std::hash::{DefaultHasher, Hash as _, Hasher as _};
                let mut hasher = DefaultHasher::new();
                (&caller.project, actor).hash(&mut hasher);
                Self::User(hasher.finish())
            }
            (credential, _) => Self::Credential(credential),
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

type Limiter<S> = RateLimiter<Counted, S, TokioClock, NoOpMiddleware<Duration>>;

/// A rate for each of those who are counted.
struct Rate {
    limiter: Limiter<Bounded<Counted>>,
    peek: Limiter<Peek<Counted>>,
    clock: TokioClock,
    limit: NonZeroU32,
    what: &'static str,
    per: &'static str,
}

impl Rate {
    fn new(quota: Quota, what: &'static str, per: &'static str) -> Self {
        let clock = TokioClock::new();
        let state = Bounded::new(clock, quota.burst_size_replenished_in());
        let peek = RateLimiter::new(quota, state.peek(), clock);
        Self { limiter: RateLimiter::new(quota, state, clock), peek, clock, limit: quota.burst_size(), what, per }
    }

    fn take(&self, who: Counted, number: u32) -> Result<(), Limited> {
        // More than are ever allowed at once would never be: they count as that many.
        let Some(number) = NonZeroU32::new(number.min(self.limit.get())) else { return Ok(()) };
        match self.limiter.check_key_n(&who, number) {
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
        }
    }

    /// Counts commands; an array of them counts with its length.
    ///
    /// # Errors
    ///
    /// If the caller has sent too many in the last second. They are not counted then.
    pub fn commands(&self, caller: &Caller, from: Option<IpAddr>, number: usize) -> Result<(), Limited> {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
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

    /// How many sessions of a project may be live at once, if that is limited.
    #[must_use]
    pub fn live_sessions(&self) -> Option<u32> {
        self.settings.live_sessions.map(NonZeroU32::get)
    }

    /// Whether a project with so many live sessions may have another one.
    ///
    /// # Errors
    ///
    /// If it has as many as are allowed.
    pub fn check_live_sessions(&self, live: u64) -> Result<(), Limited> {
        match self.live_sessions() {
            Some(limit) if live >= u64::from(limit) => {
                Err(Limited { what: "live sessions", limit, per: "in a project", retry_after: SOCKETS_RETRY })
            }
            _ => Ok(()),
        }
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
