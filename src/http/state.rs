//! The state of the handlers.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use metrics_exporter_prometheus::PrometheusHandle;

use super::bodies::BodyLimits;
use super::cross_site::CrossSiteRules;
use super::error::ApiError;
use super::frame_ancestors::FrameAncestors;
use super::trace_context::trace_context;
use crate::access::{Access, Caller};
use crate::alerts::Alerts;
use crate::archive::{Archive, Imports};
use crate::embeddings::Embeddings;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::otlp::Traces;
use crate::scoped::Scoped;
use crate::spans::SpanParent;
use crate::storage::Storage;
use crate::webhooks::Webhooks;
use crate::ws::{ClientIp, Gateway};
use relive_protocol::ErrorCode;

/// The services of the server. Handlers are given an `Api`.
///
/// The router clones it several times for each request, for routes and layers, so a copy is one reference.
#[derive(Clone, Debug)]
pub struct App(Arc<Services>);

#[derive(Debug)]
pub struct Services {
    pub access: Access,
    pub hub: Hub,
    pub storage: Storage,
    pub gateway: Gateway,
    pub embeddings: Embeddings,
    pub imports: Imports,
    pub archive: Archive,
    pub engine: Engine,
    pub traces: Traces,
    pub webhooks: Webhooks,
    pub alerts: Alerts,
    pub metrics: Option<&'static PrometheusHandle>,
    pub cross_site: CrossSiteRules,
    pub frame_ancestors: FrameAncestors,
    pub bodies: BodyLimits,
}

impl From<Services> for App {
    fn from(services: Services) -> Self {
        Self(Arc::new(services))
    }
}

impl Deref for App {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

impl Services {
    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// What a caller reaches.
    pub(super) fn scoped(&self, caller: Arc<Caller>, from: Option<IpAddr>) -> Scoped {
        Scoped::new(self.hub.clone(), self.storage.clone(), self.access.clone(), caller, from)
    }
}

/// What a request reaches: sessions, memories and the catalog, as its caller does ([`Scoped`]), and the services.
#[derive(Clone, Debug)]
pub(super) struct Api {
    scoped: Scoped,
    pub services: App,
}

impl Api {
    pub fn scoped(&self) -> &Scoped {
        &self.scoped
    }
}

impl Deref for Api {
    type Target = Scoped;

    fn deref(&self) -> &Scoped {
        &self.scoped
    }
}

impl FromRequestParts<App> for Api {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Arc<Caller>>();
        // A route outside of the layer that finds the caller: a defect, and nobody gets in by it.
        let caller = caller.ok_or_else(|| ApiError::new(ErrorCode::Internal, "the caller is unknown"))?;
        let from = parts.extensions.get::<ClientIp>().and_then(|client| client.0);
        let scoped = app.scoped(Arc::clone(caller), from);
        let span = parts.extensions.get::<SpanParent>().cloned();
        let scoped = scoped.traced(trace_context(&parts.headers), span);
        Ok(Self { scoped, services: app.clone() })
    }
}
