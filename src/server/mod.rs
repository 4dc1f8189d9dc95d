//! Starts and stops the parts of the server. `main` and the tests start it the same way.

mod accept;
pub mod access;
mod answer_body;
mod archive;
mod checked;
mod connections;
mod descriptors;
pub mod doctor;
mod greeting;
mod request_body;
mod retention;
mod statistics;
mod tls;
pub mod tool;
mod upkeep;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use accept::Site;
pub use accept::{HttpLimits, serve_router};
use descriptors::Capacity;
use hyper_util::service::TowerToHyperService;
use retention::Retention;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AccessError};
use crate::alerts::{AlertTasks, MailerError};
use crate::archive::{Archive, ImportLimits, Imports, PlaceError};
use crate::config::{DatabaseConfig, Secret, ServeConfig};
use crate::embeddings::{EmbeddingEndpoint, EmbeddingEndpointError, EmbeddingEndpointOptions, Embeddings};
use crate::engine::{Engine, EngineOptions, NodeServices, ServerKinds};
use crate::http::{App, BasePathError, BodyLimits, Ingress, OriginError, Services, router};
use crate::hub::{Broker, Hub, HubOptions, PriceError};
use crate::models;
use crate::nats::{self, Nats, NatsError};
use crate::otlp::{TraceCompleter, Traces};
use crate::schedules::Scheduler;
use crate::spans::{Exporter, ExporterError, RunningExporter};
use crate::storage::cluster::{Cluster, ClusterError, ClusterOptions};
use crate::storage::{DatabaseDescription, Storage, StorageError, connect_options};
use crate::telemetry;
use crate::webhooks::{WebhookSender, Webhooks};
use crate::ws::{Gateway, GatewayOptions};

use checked::CheckedSettings;
pub use checked::check_settings;
pub use tls::{Certificate, TlsError};

/// How long connecting to the database may take at the start.
const FIRST_CONTACT: Duration = Duration::from_secs(30);
/// How long the shutdown may take, without the embedded PostgreSQL, which has a limit of its own.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// The part of it for connections.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(5);
/// The part of it for writing what was accepted.
const FLUSH: Duration = Duration::from_secs(20);

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error("the listener has no address: {0}")]
    Address(std::io::Error),
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error(transparent)]
    BasePath(#[from] BasePathError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("DATABASE_URL is not a PostgreSQL address: {0}")]
    DatabaseUrl(sqlx::Error),
    #[error(
        "DATABASE_URL must begin with postgres:// or postgresql://, such as postgres://user:password@host/database; {0}"
    )]
    NotPostgres(String),
    #[error(transparent)]
    Prices(#[from] PriceError),
    #[error(transparent)]
    Nats(#[from] NatsError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Archive(#[from] PlaceError),
    #[error(transparent)]
    Embeddings(#[from] EmbeddingEndpointError),
    #[error(transparent)]
    Models(#[from] models::EndpointError),
    #[error("cannot make HTTP requests: {0}")]
    Web(reqwest::Error),
    #[error(transparent)]
    Traces(#[from] ExporterError),
    #[error(transparent)]
    Mailer(#[from] MailerError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    AccessSettings(#[from] access::SettingsError),
    #[error("cannot use the database: {0}")]
    Storage(#[from] StorageError),
    #[error(
        "there is no database in {}; name the data directory of the server with --data-dir or RELIVE_DATA_DIR, or \
         make a database there with `relive keys create --new-database`", .0.display()
    )]
    NoDatabase(PathBuf),
    #[error("{} is in use by another relive, whose database was not ready within {seconds} s", dir.display())]
    NotReady { dir: PathBuf, seconds: u64 },
    #[error("no relive has prepared the database yet")]
    NotPrepared,
}

/// Listens on the configured address.
///
/// # Errors
///
/// If the address is in use, or not one of this machine.
pub async fn listen(config: &ServeConfig) -> Result<TcpListener, ServeError> {
    let cannot = |source| ServeError::Listen { address: config.listen.to_string(), source };
    TcpListener::bind(&addresses(config).await?[..]).await.map_err(cannot)
}

/// What the configured address stands for.
async fn addresses(config: &ServeConfig) -> Result<Vec<SocketAddr>, ServeError> {
    let named = &config.listen;
    let cannot = |source| ServeError::Listen { address: named.to_string(), source };
    let mut addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((named.host(), named.port())).await.map_err(cannot)?.collect();
    // A name may have several; the most widely reachable come first.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

/// A server that is ready to accept requests.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    entry: Ingress,
    certificate: Option<Certificate>,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: HttpLimits,
    stop: CancellationToken,
    cluster: Option<Cluster>,
    needs_key: bool,
    endings: TraceCompleter,
    webhook_sender: WebhookSender,
    scheduler: Scheduler,
    alert_tasks: AlertTasks,
    exporter: Option<RunningExporter>,
}

impl Server {
    /// Prepares everything: the database, its schema, the hub.
    ///
    /// # Errors
    ///
    /// The first requirement that is not met.
    pub async fn prepare(listener: TcpListener, config: &ServeConfig) -> Result<Self, ServeError> {
        let metrics = telemetry::metrics();
        let address = listener.local_addr().map_err(ServeError::Address)?;
        // Whatever makes no sense is said before anything is written.
        let checked = CheckedSettings::new(config, address)?;
        let CheckedSettings { cross_site, certificate, tls, entry, frame_ancestors, .. } = checked;
        let CheckedSettings { access: access_settings, archive: place, endpoint, models, web, courier, .. } = checked;
        let CheckedSettings { mailer, prices, nats, exporter, .. } = checked;
        let (storage, cluster) = open_database(&config.database).await?;
        let embedding_dimension = config.database.embedding_dim;
        let embeddings = Embeddings::start(storage.clone(), embedding_dimension, endpoint);
        let limits = ImportLimits { bytes: config.max_import_bytes, embedding_dimension, ..ImportLimits::default() };
        let imports = Imports::new(storage.clone(), limits);
        let broker = broker(nats, &config.messaging.nats_prefix, &storage).await?;
        let (tracer, exporter) = exporter.map(Exporter::start).unzip();
        let hub = Hub::new(
            storage.clone(),
            &HubOptions {
                lanes: config.database.lanes(),
                idle_after: Duration::from_secs_f64(config.idle_seconds),
                answer_within: Duration::from_secs_f64(config.answer_within_seconds),
                embedding_dimension,
                prices,
                tracer: tracer.unwrap_or_default(),
                broker,
                ..HubOptions::default()
            },
        );
        let restored = Duration::from_secs_f64(config.archive.archive_restored_days * 86_400.0);
        let archive = Archive::new(storage.clone(), hub.clone(), imports.clone(), place.as_ref(), restored)?;
        let access = Access::start(storage.clone(), access_settings).await?;
        let needs_key = access.is_required() && !access.has_way_in().await.map_err(AccessError::from)?;
        let stop = CancellationToken::new();
        tokio::spawn(upkeep::forget_old_keys(storage.clone(), stop.clone()));
        let ids_kept = Duration::from_hours(config.command_id_hours.into());
        tokio::spawn(upkeep::forget_old_commands(storage.clone(), ids_kept, stop.clone()));
        tokio::spawn(stop.clone().run_until_cancelled_owned(hub.clone().watch_leases()));
        tokio::spawn(statistics::keep_statistics(storage.clone(), stop.clone()));
        let (removing, stopping) = (hub.clone(), stop.clone());
        let (records, log, files) = (storage.clone(), access.clone(), archive.clone());
        let retention = Retention { hub: removing, storage: records, access: log, archive: files, stop: stopping };
        tokio::spawn(retention.run());
        tokio::spawn(archive::remove_strays(archive.clone(), stop.clone()));
        let capacity = capacity(config);
        metrics::gauge!("relive_sockets_max").set(capacity.sockets as f64);
        let options = GatewayOptions { sockets: capacity.sockets, ..GatewayOptions::default() };
        let gateway = Gateway::new(access.clone(), hub.clone(), storage.clone(), options, stop.clone());
        let services = NodeServices { models, web, storage: storage.clone(), embeddings: embeddings.clone() };
        let engine = Engine::start(hub.clone(), ServerKinds::new(services), engine_options(config));
        let trace_idle = Duration::from_secs_f64(config.trace_idle_seconds);
        let traces = Traces::new(storage.clone(), trace_idle);
        let endings = TraceCompleter::start(hub.clone(), storage.clone(), trace_idle);
        let webhook_sender = WebhookSender::start(storage.clone(), courier.clone());
        let webhooks = Webhooks::new(storage.clone(), courier);
        let alert_tasks = AlertTasks::start(&storage, mailer);
        let scheduler = Scheduler::start(hub.clone(), storage.clone(), access.clone(), engine.clone());
        Ok(Self {
            listener,
            address,
            app: App::from(Services {
                access,
                hub,
                storage,
                gateway,
                embeddings,
                imports,
                archive,
                engine,
                traces,
                webhooks,
                alerts: alert_tasks.alerts(),
                metrics,
                cross_site,
                frame_ancestors,
                bodies: body_limits(config),
            }),
            entry,
            certificate,
            tls,
            limits: http_limits(config, capacity),
            stop,
            cluster,
            needs_key,
            endings,
            webhook_sender,
            scheduler,
            alert_tasks,
            exporter,
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether nobody can use the server before a key is made.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.needs_key
    }

    /// The scheme by which clients address it.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    /// The certificate, if the server speaks TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The hub, for engines in the same process.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.app.hub
    }

    /// The embedded PostgreSQL, if it is used.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Logs what somebody wants to know who reads the log for the first time: one line for each.
    pub async fn log_start(&self, config: &ServeConfig) {
        tracing::info!("address: {}://{}", self.scheme(), self.address);
        if self.cluster.is_some() {
            tracing::info!("data directory: {}", absolute(&config.database.data_dir).display());
        } else {
            tracing::info!("data directory: none, since a database is set");
        }
        match self.app.storage.describe().await {
            Ok(DatabaseDescription { place, version, vector }) => {
                let vector = vector.unwrap_or_default();
                tracing::info!("database: {place}, version {version}, pgvector {vector}");
            }
            Err(error) => tracing::warn!(%error, "the database does not say what it is"),
        }
        tracing::info!("authentication: {}", self.authentication(config));
    }

    fn authentication(&self, config: &ServeConfig) -> &'static str {
        match (config.access.allow_anonymous, self.app.access.is_required()) {
            (true, _) => "not required, everybody may do everything (allow_anonymous)",
            (false, true) if config.access.oidc.oidc_issuer.is_some() => "required, by a key, a token or a sign-in",
            (false, true) => "required, by a key or a token",
            (false, false) => "not required on this address, until there is a key",
        }
    }

    /// Serves until `shutdown` completes; then closes every socket, writes what was accepted, and
    /// stops the embedded PostgreSQL.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, app, entry, tls, limits, stop, cluster, endings, webhook_sender, scheduler, .. } = self;
        let (alert_tasks, exporter) = (self.alert_tasks, self.exporter);
        let (hub, storage, gateway) = (app.hub.clone(), app.storage.clone(), app.gateway.clone());
        let (embeddings, engine, access) = (app.embeddings.clone(), app.engine.clone(), app.access.clone());
        let router = TowerToHyperService::new(router(app));
        let site = Site { router, entry: Some(entry), tls: tls.map(TlsAcceptor::from), limits };
        let connections = accept::serve(listener, site, shutdown).await;
        tracing::info!("stopping");
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        stop.cancel();
        let closing = async { tokio::join!(gateway.closed(), connections.shutdown()) };
        if tokio::time::timeout(CONNECTIONS_GRACE, closing).await.is_err() {
            tracing::warn!("some clients did not end their connections in time");
        }
        let flushing = async {
            // First the parts that send commands, then those that write them.
            scheduler.shutdown().await;
            tokio::join!(embeddings.shutdown(), engine.shutdown(), endings.shutdown(), webhook_sender.shutdown());
            alert_tasks.shutdown().await;
            hub.shutdown(FLUSH).await;
            access.shutdown().await;
            // Everything that makes spans has ended.
            if let Some(exporter) = exporter {
                exporter.shutdown().await;
            }
            // Waits for requests that still use a connection.
            storage.close().await;
        };
        if tokio::time::timeout_at(deadline, flushing).await.is_err() {
            tracing::warn!("some requests were cut off, since they did not end in time");
        }
        if let Some(cluster) = cluster
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(%error, "the embedded PostgreSQL did not stop cleanly; it recovers at the next start");
        }
    }
}

/// The path from the root, as far as there is one.
fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The limits of clients, within the process's file descriptors.
fn capacity(config: &ServeConfig) -> Capacity {
    let wanted = Capacity { connections: config.http.max_connections.max(1), sockets: config.max_sockets };
    let descriptors = match descriptors::raise() {
        Ok(descriptors) => descriptors,
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit of open files");
            return wanted;
        }
    };
    let capacity = wanted.within(descriptors, config.database.database_connections);
    let Capacity { connections, sockets } = capacity;
    if capacity == wanted {
        tracing::info!(descriptors, connections, sockets, "room for clients");
    } else {
        tracing::warn!(descriptors, connections, sockets, "the number of open files leaves room for fewer clients");
    }
    capacity
}

/// The certificate, if TLS is configured.
fn certificate(config: &ServeConfig) -> Result<Option<Certificate>, TlsError> {
    match (&config.tls.tls_cert, &config.tls.tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Certificate::load(certificate.clone(), key.clone()).map(Some),
        _ => Err(TlsError::Half),
    }
}

fn http_limits(config: &ServeConfig, capacity: Capacity) -> HttpLimits {
    HttpLimits {
        handshake: Duration::from_secs_f64(config.tls.tls_handshake_seconds),
        head: Duration::from_secs_f64(config.http.head_seconds),
        stall: Duration::from_secs_f64(config.http.stall_seconds),
        connections: capacity.connections,
    }
}

fn body_limits(config: &ServeConfig) -> BodyLimits {
    BodyLimits {
        silence: Duration::from_secs_f64(config.http.stall_seconds),
        whole: Duration::from_secs_f64(config.http.body_seconds),
    }
}

/// The embeddings endpoint, if one is configured. An empty variable counts as not set.
fn embeddings_endpoint(config: &ServeConfig) -> Result<Option<EmbeddingEndpoint>, EmbeddingEndpointError> {
    let options = &config.embeddings;
    let Some(url) = options.embeddings_url.as_deref().filter(|url| !url.trim().is_empty()) else { return Ok(None) };
    EmbeddingEndpoint::new(EmbeddingEndpointOptions {
        url,
        model: options.embeddings_model.as_deref().unwrap_or_default(),
        api_key: options.embeddings_api_key.as_ref().map(Secret::reveal).filter(|key| !key.is_empty()),
        dimension: config.database.embedding_dim,
        timeout: Duration::from_secs_f64(options.embeddings_timeout_seconds),
    })
    .map(Some)
}

/// The language-model endpoint, if one is configured.
fn models_endpoint(config: &ServeConfig) -> Result<Option<models::Endpoint>, models::EndpointError> {
    let options = &config.engine;
    let Some(url) = options.llm_url.as_deref().filter(|url| !url.trim().is_empty()) else { return Ok(None) };
    models::Endpoint::new(models::EndpointOptions {
        url,
        model: options.llm_model.as_deref().unwrap_or_default(),
        api_key: options.llm_api_key.as_ref().map(Secret::reveal).filter(|key| !key.is_empty()),
        silence: Duration::from_secs_f64(options.llm_silence_seconds),
    })
    .map(Some)
}

fn engine_options(config: &ServeConfig) -> EngineOptions {
    let engine = &config.engine;
    EngineOptions {
        sessions: engine.engine_sessions,
        nodes: engine.engine_nodes,
        lease: Duration::from_secs_f64(engine.engine_lease_seconds),
        ..EngineOptions::default()
    }
}

/// An error without the address, which may contain a password.
fn check_scheme(url: &str) -> Result<(), ServeError> {
    match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Ok(()),
        Some((scheme, _)) => {
            let scheme: String = scheme.chars().take(20).collect();
            Err(ServeError::NotPostgres(format!("Relive does not work with `{}`", scheme.escape_debug())))
        }
        None => Err(ServeError::NotPostgres("the value is not an address".to_owned())),
    }
}

async fn open_database(config: &DatabaseConfig) -> Result<(Storage, Option<Cluster>), ServeError> {
    let (options, cluster) = if let Some(url) = &config.database_url {
        check_scheme(url)?;
        (connect_options(url).map_err(ServeError::DatabaseUrl)?, None)
    } else {
        let cluster = Cluster::start(ClusterOptions {
            data_dir: config.data_dir.clone(),
            postgres_bin: config.postgres_bin.clone(),
            durable: true,
        })
        .await?;
        (cluster.connect_options(), Some(cluster))
    };
    let storage = Storage::new(options, config.database_connections);
    // A database that is starting, as after a reboot, is waited for.
    let deadline = Instant::now() + FIRST_CONTACT;
    let mut is_told = false;
    loop {
        match storage.migrate(config.embedding_dim).await {
            Ok(()) => return Ok((storage, cluster)),
            Err(error) if error.is_worth_waiting() && Instant::now() < deadline => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::info!(%error, "waiting for the database");
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The message broker for notices, if there is one.
async fn broker(
    addresses: Option<Vec<nats::Address>>,
    prefix: &str,
    storage: &Storage,
) -> Result<Option<Arc<dyn Broker>>, ServeError> {
    let Some(addresses) = addresses else { return Ok(None) };
    let subject = format!("{prefix}.{}", storage.database_identity().await?);
    Ok(Some(Arc::new(Nats::start(addresses, subject).await?)))
}
