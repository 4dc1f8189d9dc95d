//! Settings that were checked, in the form that the parts of the server take. Nothing is started or written for it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{
    Certificate, ServeError, access, addresses, certificate, check_scheme, embeddings_endpoint, models_endpoint,
};
use crate::access::AccessSettings;
use crate::alerts::Mailer;
use crate::archive::{PlaceError, PlaceOptions};
use crate::config::{ArchiveConfig, SampledShare, Secret, ServeConfig, TracesConfig, TracesSampler};
use crate::embeddings::EmbeddingEndpoint;
use crate::engine::{Web, WebOptions};
use crate::http::{CrossSiteOptions, CrossSiteRules, FrameAncestors, Ingress, IngressOptions};
use crate::hub::Prices;
use crate::models::Models;
use crate::nats;
use crate::spans::{Exporter, ExporterError, ExporterOptions, Sampler};
use crate::storage::connect_options;
use crate::version;
use crate::webhooks::Courier;

pub(super) struct CheckedSettings {
    pub cross_site: CrossSiteRules,
    pub certificate: Option<Certificate>,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub entry: Ingress,
    pub frame_ancestors: FrameAncestors,
    pub access: AccessSettings,
    pub archive: Option<PlaceOptions>,
    pub endpoint: Option<EmbeddingEndpoint>,
    pub models: Models,
    pub web: Web,
    pub courier: Courier,
    pub mailer: Option<Mailer>,
    pub prices: Prices,
    pub nats: Option<Vec<nats::Address>>,
    pub exporter: Option<Exporter>,
}

impl CheckedSettings {
    /// Checks the settings of a server that listens on `address`.
    ///
    /// # Errors
    ///
    /// The first one that makes no sense.
    pub fn new(config: &ServeConfig, address: SocketAddr) -> Result<Self, ServeError> {
        let cross_site = CrossSiteRules::new(CrossSiteOptions {
            listen: config.listen.host(),
            is_open: config.access.allow_anonymous,
            allow_origin: &config.access.allow_origin,
        })?;
        let certificate = certificate(config)?;
        let tls = certificate.as_ref().map(Certificate::server_config).transpose()?;
        let entry = Ingress::new(IngressOptions {
            trusted_proxies: &config.proxy.trusted_proxies,
            base_path: &config.proxy.base_path,
            is_tls: tls.is_some(),
            hsts_seconds: config.tls.hsts_seconds,
        })?;
        let web =
            WebOptions { hosts: config.engine.tool_hosts.clone(), allow_private: config.engine.tool_allow_private };
        if let Some(url) = &config.database.database_url {
            check_scheme(url)?;
            connect_options(url).map_err(ServeError::DatabaseUrl)?;
        }
        Ok(Self {
            cross_site,
            certificate,
            tls,
            entry,
            frame_ancestors: FrameAncestors::new(&config.access.frame_ancestors)?,
            access: access::settings(&config.access, address, !config.proxy.trusted_proxies.is_empty())?,
            archive: archive(config)?,
            endpoint: embeddings_endpoint(config)?,
            models: Models::new(models_endpoint(config)?),
            web: Web::new(web).map_err(ServeError::Web)?,
            courier: Courier::new(config.webhooks.webhook_allow_private).map_err(ServeError::Web)?,
            mailer: Mailer::new(config.email.smtp_url.as_ref().map(Secret::reveal), config.email.smtp_from.as_deref())?,
            prices: Prices::load(config.model_prices.as_deref())?,
            exporter: exporter(&config.traces)?,
            nats: config.messaging.nats_url.as_ref().map(|url| nats::addresses(url.reveal())).transpose()?,
        })
    }
}

/// The way to the endpoint for traces, if there is one.
fn exporter(config: &TracesConfig) -> Result<Option<Exporter>, ExporterError> {
    let Some(endpoint) = config.endpoint() else { return Ok(None) };
    let TracesSampler { is_parent_based, share } = config.otel_traces_sampler;
    let ratio = match share {
        SampledShare::All => 1.0,
        SampledShare::None => 0.0,
        SampledShare::Ratio => config.otel_traces_sampler_arg,
    };
    let options = ExporterOptions {
        endpoint: &endpoint,
        headers: config.otlp_headers.as_ref().map(Secret::reveal),
        service_name: config.otel_service_name.as_deref().filter(|name| !name.is_empty()),
        service_version: version::NUMBER,
        sampler: Sampler { is_parent_based, ratio },
    };
    Exporter::new(&options).map(Some)
}

/// The place of the archive, if there is one.
fn archive(config: &ServeConfig) -> Result<Option<PlaceOptions>, PlaceError> {
    let ArchiveConfig { archive, archive_s3_endpoint, .. } = &config.archive;
    let Some(address) = archive.clone() else { return Ok(None) };
    let place = PlaceOptions { address, s3_endpoint: archive_s3_endpoint.clone() };
    place.check()?;
    Ok(Some(place))
}

/// Checks settings as a start does, without starting anything.
///
/// # Errors
///
/// The first one that makes no sense.
pub async fn check_settings(config: &ServeConfig) -> Result<(), ServeError> {
    let found = addresses(config).await?;
    let address = found.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], config.listen.port())));
    CheckedSettings::new(config, address).map(drop)
}
