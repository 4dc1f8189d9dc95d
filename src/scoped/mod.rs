//! What one caller reaches: the hub and the storage, within the caller's project and rights.
//!
//! HTTP handlers and sockets are given this and neither the hub nor the storage, so that none can forget to ask.
//! A session of another project is not found, as one that does not exist; what the caller may not do in the own
//! project is denied.

mod alerts;
mod archived;
mod bulk;
mod catalog;
mod error;
mod memories;
mod projects;
mod schedules;
mod sessions;
mod webhooks;

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::{Access, Action, Caller, Visibility};
use crate::hub::Hub;
use crate::spans::{Span, SpanKind, SpanParent};
use crate::storage::{SessionFilter, Storage, Visible};
use relive_session::{ProjectId, TraceContext};

pub use bulk::{BulkDeletion, ListLength};
pub use error::Refused;
pub use sessions::{Readable, ReadableNow};

/// The hub and the storage, as one caller reaches them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scoped {
    hub: Hub,
    storage: Storage,
    /// Has the limits of callers.
    access: Access,
    caller: Arc<Caller>,
    /// Where the caller is, if that is known.
    from: Option<IpAddr>,
    /// The trace that the request belongs to.
    trace: Option<Arc<TraceContext>>,
    /// The span of the request, if its trace is recorded.
    span: Option<SpanParent>,
}

impl Scoped {
    #[must_use]
    pub fn new(hub: Hub, storage: Storage, access: Access, caller: Arc<Caller>, from: Option<IpAddr>) -> Self {
        Self { hub, storage, access, caller, from, trace: None, span: None }
    }

    /// The same for a request that belongs to a trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceContext>, span: Option<SpanParent>) -> Self {
        Self { trace: trace.map(Arc::new), span, ..self }
    }

    /// A span for commands on a socket, in the trace that they say they belong to, or that of the socket; `None` if it
    /// is not recorded.
    #[must_use]
    pub fn command_span(&self, given: Option<(&str, Option<&str>)>, kind: &'static str) -> Option<Span> {
        let tracer = self.hub.tracer();
        if !tracer.is_on() {
            return None;
        }
        let given = given.and_then(|(parent, state)| TraceContext::parse(parent, state));
        tracer.root(SpanKind::Server, given.as_ref().or(self.trace.as_deref()), || format!("command {kind}"))
    }

    /// The same for another caller.
    #[must_use]
    pub fn with_caller(&self, caller: Arc<Caller>) -> Self {
        Self { caller, ..self.clone() }
    }

    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.caller.project
    }

    /// Whether the caller may do this in the project.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`].
    pub fn check(&self, action: Action) -> Result<(), Refused> {
        Ok(self.caller.allows(action, None)?)
    }

    /// A filter for what the caller may see, and no other condition.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`] if the caller may see no list at all.
    pub fn filter(&self) -> Result<SessionFilter, Refused> {
        self.check(Action::ListSessions)?;
        Ok(self.visible())
    }

    /// What the caller may see, which may be nothing.
    fn visible(&self) -> SessionFilter {
        let visible = match self.caller.visibility() {
            Visibility::All => Visible::All,
            Visibility::Some { sessions, groups, tags } => Visible::Some { sessions, groups, tags },
        };
        SessionFilter { project_id: self.project().clone(), visible, ..SessionFilter::default() }
    }
}
