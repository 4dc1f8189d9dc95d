//! Settings. Each has a flag, an environment variable and a default; `--help` shows them. Those of `relive serve` may
//! stand in a configuration file as well.

mod access;
mod archive;
mod email;
mod environment;
mod file;
mod listen;
mod log;
mod messaging;
mod near;
mod network;
mod traces;

use std::fmt;
use std::path::PathBuf;

use clap::Args;

pub use access::{AccessConfig, AuditConfig, Authentication, LimitConfig, OidcConfig};
pub use archive::ArchiveConfig;
pub use email::EmailConfig;
pub use environment::{UnknownVariable, unknown};
pub use file::{
    ConfigFile, ConfigFileError, DEFAULT_FILES, FileFault, FileSetting, KnownSetting, SettingKind, file_variable,
    read_secret,
};
pub use listen::ListenAddress;
pub use log::{LogConfig, LogFormat};
pub use messaging::MessagingConfig;
pub use network::{ProxyConfig, TlsConfig};
pub use traces::{SampledShare, TracesConfig, TracesSampler};

/// The settings of `relive serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeConfig {
    /// Address to listen on, or a name that is looked up: HTTP and WebSocket share it. Port 0 picks a
    /// free one.
    #[arg(long, env = "RELIVE_LISTEN", default_value = "127.0.0.1:7400", value_name = "HOST:PORT")]
    pub listen: ListenAddress,

    #[command(flatten)]
    pub database: DatabaseConfig,

    #[command(flatten)]
    pub access: AccessConfig,

    #[command(flatten)]
    pub http: HttpConfig,

    #[command(flatten)]
    pub tls: TlsConfig,

    #[command(flatten)]
    pub proxy: ProxyConfig,

    #[command(flatten)]
    pub messaging: MessagingConfig,

    #[command(flatten)]
    pub log: LogConfig,

    #[command(flatten)]
    pub traces: TracesConfig,

    #[command(flatten)]
    pub embeddings: EmbeddingsConfig,

    #[command(flatten)]
    pub engine: EngineConfig,

    #[command(flatten)]
    pub webhooks: WebhookConfig,

    #[command(flatten)]
    pub email: EmailConfig,

    #[command(flatten)]
    pub archive: ArchiveConfig,

    /// A file with prices of models that replaces the built-in table, in the form of
    /// data/model-prices.json.
    #[arg(long, env = "RELIVE_MODEL_PRICES", value_name = "FILE")]
    pub model_prices: Option<PathBuf>,

    /// Sockets that may be open at once; one more is answered with 503.
    #[arg(long, env = "RELIVE_MAX_SOCKETS", default_value_t = 10_000, value_name = "NUMBER")]
    pub max_sockets: usize,

    /// Bytes that an imported session may have as a file.
    #[arg(long, env = "RELIVE_MAX_IMPORT_BYTES", default_value_t = 4 << 30, value_name = "BYTES")]
    pub max_import_bytes: u64,

    /// Seconds that a session without viewers and pending commands stays in memory.
    #[arg(long, env = "RELIVE_IDLE_SECONDS", default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    pub idle_seconds: f64,

    /// Seconds within which a command is answered. If it could not be written by then, it is answered
    /// with `unavailable`, and not carried out later.
    #[arg(long = "answer-within", env = "RELIVE_ANSWER_WITHIN", default_value_t = 8.0, value_name = "SECONDS",
          value_parser = answer_seconds)]
    pub answer_within_seconds: f64,

    /// Hours after the last change of a session that has ended, for which the ids of its commands are known.
    #[arg(long, env = "RELIVE_COMMAND_ID_HOURS", default_value_t = 24, value_name = "HOURS",
          value_parser = clap::value_parser!(u32).range(24..=876_000))]
    pub command_id_hours: u32,

    /// Seconds without a span after which the session of a trace whose root span has ended is ended too.
    #[arg(long, env = "RELIVE_TRACE_IDLE_SECONDS", default_value_t = 30.0, value_name = "SECONDS",
          value_parser = answer_seconds)]
    pub trace_idle_seconds: f64,
}

/// Time limits and number of clients over HTTP. Nothing here concerns open sockets.
#[derive(Args, Clone, Debug)]
pub struct HttpConfig {
    /// HTTP connections at once. For one more, the one that has been idle the longest is closed.
    #[arg(long, env = "RELIVE_MAX_CONNECTIONS", default_value_t = 5_000, value_name = "NUMBER")]
    pub max_connections: usize,

    /// Seconds for the head of a request, including the wait before it.
    #[arg(long, env = "RELIVE_HEAD_SECONDS", default_value_t = 30.0, value_name = "SECONDS", value_parser = seconds)]
    pub head_seconds: f64,

    /// Seconds for the body of a request. An imported file may take an hour.
    #[arg(long, env = "RELIVE_BODY_SECONDS", default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    pub body_seconds: f64,

    /// Seconds without a byte after which a client is disconnected: of its request's body, or read of the
    /// answer.
    #[arg(long, env = "RELIVE_STALL_SECONDS", default_value_t = 30.0, value_name = "SECONDS", value_parser = seconds)]
    pub stall_seconds: f64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { max_connections: 5_000, head_seconds: 30.0, body_seconds: 60.0, stall_seconds: 30.0 }
    }
}

/// The database.
#[derive(Args, Clone, Debug)]
pub struct DatabaseConfig {
    /// A file with settings, one on each line, named as the flags are: `max_sockets = 500`. Flags and variables go
    /// before it. Default: `./relive.toml`, then `/etc/relive/relive.toml`, if there is one.
    #[arg(long = "config", env = "RELIVE_CONFIG", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// A PostgreSQL with pgvector, as <postgres://user:password@host/database>. Without it the server
    /// runs one of its own under the data directory.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Where the server's own PostgreSQL keeps its data.
    #[arg(long, env = "RELIVE_DATA_DIR", default_value = "./relive-data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,

    /// Directory with the programs of the server's own PostgreSQL. Default: `./.postgres/bin`, then
    /// the system's if it has pgvector.
    #[arg(long, env = "RELIVE_POSTGRES_BIN", value_name = "DIRECTORY")]
    pub postgres_bin: Option<PathBuf>,

    /// Database connections at most, including the commit lanes'. Two more carry notices between servers.
    #[arg(long, env = "RELIVE_DATABASE_CONNECTIONS", default_value_t = 20, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(8..=1_000))]
    pub database_connections: u32,

    /// Commit lanes; each holds a database connection. Default: one for each processor, from 2 to 4.
    #[arg(long, env = "RELIVE_LANES", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub lanes: Option<u16>,

    /// Dimension of memory embeddings. Up to 4,000 they are indexed; longer ones are compared one by one.
    #[arg(long, env = "RELIVE_EMBEDDING_DIM", default_value_t = 1_536, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..=16_000))]
    pub embedding_dim: u32,
}

impl DatabaseConfig {
    /// The number of commit lanes. With more of them than processors, each has smaller batches, which take turns all
    /// the same; with one, the database waits while a batch is made, and the server while it is written.
    #[must_use]
    pub fn lanes(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
        self.lanes.map_or_else(processors, usize::from)
    }
}

/// The endpoint for embeddings of memories and of search texts.
#[derive(Args, Clone, Debug)]
pub struct EmbeddingsConfig {
    /// An OpenAI-compatible endpoint: its base address, ending in /v1. Without it, only memories that
    /// come with an embedding can be found by vector, and search texts are compared by their words.
    #[arg(long, env = "RELIVE_EMBEDDINGS_URL", value_name = "URL", hide_env_values = true)]
    pub embeddings_url: Option<String>,

    /// The model that makes the embeddings; it must make as many numbers as `--embedding-dim` says.
    #[arg(long, env = "RELIVE_EMBEDDINGS_MODEL", value_name = "NAME")]
    pub embeddings_model: Option<String>,

    /// The endpoint's key, if it needs one. Better as an environment variable: other users of the
    /// machine can see arguments.
    #[arg(long, env = "RELIVE_EMBEDDINGS_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub embeddings_api_key: Option<Secret>,

    /// Seconds a request to the endpoint may take.
    #[arg(long, env = "RELIVE_EMBEDDINGS_TIMEOUT_SECONDS", default_value_t = 10.0, value_name = "SECONDS",
          value_parser = seconds)]
    pub embeddings_timeout_seconds: f64,
}

impl Default for EmbeddingsConfig {
    fn default() -> Self {
        Self {
            embeddings_url: None,
            embeddings_model: None,
            embeddings_api_key: None,
            embeddings_timeout_seconds: 10.0,
        }
    }
}

/// The built-in engine.
#[derive(Args, Clone, Debug)]
pub struct EngineConfig {
    /// Sessions the built-in engine drives at once; further ones wait. Sessions that only wait
    /// (for a review, for example) do not count.
    #[arg(long, env = "RELIVE_ENGINE_SESSIONS", default_value_t = 2_000, value_name = "NUMBER")]
    pub engine_sessions: usize,

    /// Nodes of one session that run at the same time.
    #[arg(long, env = "RELIVE_ENGINE_NODES", default_value_t = 16, value_name = "NUMBER")]
    pub engine_nodes: usize,

    /// Seconds after which another server, or the next start, resumes the sessions of a server that
    /// was killed.
    #[arg(long, env = "RELIVE_ENGINE_LEASE_SECONDS", default_value_t = 10.0, value_name = "SECONDS",
          value_parser = seconds)]
    pub engine_lease_seconds: f64,

    /// An OpenAI-compatible endpoint for nodes that ask a model: its base address, ending in /v1. Without
    /// it, workflows with such nodes cannot be started.
    #[arg(long, env = "RELIVE_LLM_URL", value_name = "URL", hide_env_values = true)]
    pub llm_url: Option<String>,

    /// The model that is used if neither the node nor its agent names one.
    #[arg(long, env = "RELIVE_LLM_MODEL", value_name = "NAME")]
    pub llm_model: Option<String>,

    /// The endpoint's key, if it needs one. Better as an environment variable: other users of the
    /// machine can see arguments.
    #[arg(long, env = "RELIVE_LLM_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub llm_api_key: Option<Secret>,

    /// Seconds a model may be silent: before its answer begins, and between two pieces of it.
    #[arg(long, env = "RELIVE_LLM_SILENCE_SECONDS", default_value_t = 60.0, value_name = "SECONDS",
          value_parser = seconds)]
    pub llm_silence_seconds: f64,

    /// Hosts that tool nodes may reach, such as <api.example.org>, <*.example.org> or <*>; several,
    /// separated by commas. None: tool nodes cannot be started.
    #[arg(long, env = "RELIVE_TOOL_HOSTS", value_delimiter = ',', value_name = "HOST")]
    pub tool_hosts: Vec<String>,

    /// Let tool nodes reach loopback, private and other internal addresses too.
    #[arg(long, env = "RELIVE_TOOL_ALLOW_PRIVATE")]
    pub tool_allow_private: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            engine_sessions: 2_000,
            engine_nodes: 16,
            engine_lease_seconds: 10.0,
            llm_url: None,
            llm_model: None,
            llm_api_key: None,
            llm_silence_seconds: 60.0,
            tool_hosts: Vec::new(),
            tool_allow_private: false,
        }
    }
}

/// Webhooks.
#[derive(Args, Clone, Debug, Default)]
pub struct WebhookConfig {
    /// Let webhooks reach loopback, private and other internal addresses too.
    #[arg(long, env = "RELIVE_WEBHOOK_ALLOW_PRIVATE")]
    pub webhook_allow_private: bool,
}

/// A text that must not be logged: printing it shows stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The deadline of a statement is half a second before the answer.
fn answer_seconds(text: &str) -> Result<f64, String> {
    match seconds(text) {
        Ok(seconds) if (1.0..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 1 to 3600".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds > 0.0 && seconds <= 1e9 => Ok(seconds),
        _ => Err("expected a number of seconds greater than 0".to_owned()),
    }
}
