//! The credential of a connection: it expires, is revoked, or is replaced by an `auth` frame.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::ClientConnection;
use crate::access::{AuthError, Caller, Credential, Grant, Watch};
use crate::scoped::{Refused, Scoped};
use crate::ws::client::Client;
use crate::ws::viewer::MayRead;
use crate::ws::{frames, list, refusals};
use relive_protocol::{CloseCode, ErrorCode, ServerFrame};
use relive_session::Timestamp;

/// How long before its credential expires a client is notified.
const NOTICE: Duration = Duration::from_secs(20);

/// Who a connection belongs to, and for how long.
pub(in crate::ws) struct Identity {
    pub scoped: Arc<Scoped>,
    pub ip: Option<IpAddr>,
    watch: Watch,
    expiry: Option<Expiry>,
}

/// How long a credential is valid yet.
pub(in crate::ws) enum Expiring {
    NotYet,
    /// The frame that says so.
    Soon(Bytes),
    Expired,
}

struct Expiry {
    at: Timestamp,
    /// When to notify the client, unless it was notified.
    told_at: Option<Instant>,
    ends_at: Instant,
}

impl Expiry {
    fn of(caller: &Caller) -> Option<Self> {
        let (at, ends_at) = (caller.expires_at?, caller.ends_at()?);
        let now = Instant::now();
        let told_at = now + (ends_at - now).saturating_sub(NOTICE);
        Some(Self { at, told_at: Some(told_at), ends_at })
    }

    fn next(&self) -> Instant {
        self.told_at.unwrap_or(self.ends_at)
    }
}

impl Identity {
    pub fn new(scoped: Arc<Scoped>, watch: Watch, ip: Option<IpAddr>) -> Self {
        let expiry = Expiry::of(scoped.caller());
        Self { scoped, ip, watch, expiry }
    }

    /// Whether the credential has expired, or expires soon and the client was not told yet.
    pub fn check_expiry(&mut self, now: Instant) -> Expiring {
        let Some(expiry) = &mut self.expiry else { return Expiring::NotYet };
        if expiry.ends_at <= now {
            return Expiring::Expired;
        }
        if expiry.told_at.is_some_and(|at| at <= now) {
            expiry.told_at = None;
            return Expiring::Soon(frames::text(&ServerFrame::Expiring { expires_at: expiry.at }));
        }
        Expiring::NotYet
    }

    /// When something is due without a wake-up.
    pub fn due(&self) -> Option<Instant> {
        self.expiry.as_ref().map(Expiry::next)
    }

    /// The check to be made whenever a session changes; `None`: none.
    pub fn may_read(&self) -> Option<MayRead> {
        self.scoped.readable_now().map(MayRead)
    }

    /// Completes when the credential was revoked.
    pub async fn revoked(&self) {
        self.watch.cancelled().await;
    }
}

impl ClientConnection {
    /// Notifies the client that its credential expires, and ends the connection when it has expired.
    pub(super) fn check_expiry(&mut self, now: Instant) -> Option<CloseCode> {
        match self.identity.check_expiry(now) {
            Expiring::Expired => return Some(CloseCode::TokenExpired),
            Expiring::Soon(notice) => self.socket.send(notice),
            Expiring::NotYet => {}
        }
        None
    }

    /// Replaces the credential, and ends the subscriptions that the new one does not allow.
    pub(super) async fn authenticate(&mut self, token: &str) -> Option<CloseCode> {
        let identified = self.gateway.access.identify(Some(Credential::Bearer(token)), self.identity.ip).await;
        let caller = match identified {
            Ok(caller) => caller,
            Err(error) => {
                self.socket.send(frames::error_frame(None, None, error_code(&error), &error.to_string()));
                return None;
            }
        };
        let watch = self.gateway.access.watch(&caller);
        let scoped = Arc::new(self.identity.scoped.with_caller(Arc::new(caller)));
        self.identity = Identity::new(Arc::clone(&scoped), watch, self.identity.ip);
        self.socket.send(frames::text(&authenticated(scoped.caller())));
        self.recheck().await
    }

    /// Ends the subscriptions that the caller may not see any more.
    async fn recheck(&mut self) -> Option<CloseCode> {
        let (scoped, may_read) = (Arc::clone(&self.identity.scoped), self.identity.may_read());
        self.viewers.values().for_each(|subscribed| subscribed.viewer.restrict(may_read.clone()));
        if let Some(replay) = &mut self.replay {
            replay.restrict(may_read);
        }
        let ids: Vec<_> = self.viewers.keys().copied().collect();
        for id in ids {
            if let Err(refused) = scoped.readable(id).await {
                self.viewers.remove(&id);
                self.socket.send(refusals::frame(None, id, &refused));
                if self.only == Some(id) {
                    return Some(refusals::close_code(&refused));
                }
            }
        }
        if let Some(replay) = &self.replay
            && let Err(refused) = scoped.readable(replay.session_id()).await
        {
            self.socket.send(refusals::frame(None, replay.session_id(), &refused));
            return Some(refusals::close_code(&refused));
        }
        self.follow_list_again().err().map(|refused| refusals::close_code(&refused))
    }

    /// Starts the live list over if the caller now sees other sessions.
    fn follow_list_again(&mut self) -> Result<(), Refused> {
        let Some(shown) = &mut self.list else { return Ok(()) };
        let visible = self.identity.scoped.filter()?;
        let same = (&visible.project_id, &visible.visible) == (&shown.filter.project_id, &shown.filter.visible);
        if !same {
            shown.filter.project_id = visible.project_id;
            shown.filter.visible = visible.visible;
            let (gateway, client) = (self.gateway.clone(), Client::Socket(Arc::clone(&self.socket)));
            let follow = list::follow(gateway, client, shown.filter.clone(), shown.limit);
            shown.task = AbortOnDropHandle::new(tokio::spawn(follow));
        }
        Ok(())
    }
}

fn authenticated(caller: &Caller) -> ServerFrame {
    let (role, scopes) = match &caller.grant {
        Grant::Anonymous => (None, None),
        Grant::Role(role) => (Some(role.to_string()), None),
        Grant::Scopes(scopes) => (None, Some(scopes.iter().map(ToString::to_string).collect())),
    };
    ServerFrame::Authenticated { role, scopes, project: caller.project.clone(), expires_at: caller.expires_at }
}

fn error_code(error: &AuthError) -> ErrorCode {
    match error {
        AuthError::Missing | AuthError::Invalid | AuthError::Expired | AuthError::Ambiguous | AuthError::NoRole(_) => {
            ErrorCode::Unauthorized
        }
        AuthError::Limited { .. } => ErrorCode::RateLimited,
        AuthError::Unavailable(_) | AuthError::Storage(_) => ErrorCode::Unavailable,
    }
}
