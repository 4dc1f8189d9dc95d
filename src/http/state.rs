//! The state of the handlers.

use metrics_exporter_prometheus::PrometheusHandle;

use super::bodies::BodyLimits;
use super::frame_ancestors::FrameAncestors;
use super::page_rules::PageRules;
use crate::archive::Imports;
use crate::embeddings::Embeddings;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::storage::Storage;
use crate::ws::Gateway;

/// The services that handlers use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub hub: Hub,
    pub storage: Storage,
    pub gateway: Gateway,
    pub embeddings: Embeddings,
    pub imports: Imports,
    pub engine: Engine,
    pub metrics: Option<&'static PrometheusHandle>,
    pub page_rules: PageRules,
    pub frame_ancestors: FrameAncestors,
    pub bodies: BodyLimits,
}

impl App {
    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }
}
