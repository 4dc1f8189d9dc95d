//! Settings of access control.

use clap::{Args, ValueEnum};

use super::Secret;

/// Access to the server.
#[derive(Args, Clone, Debug, Default)]
pub struct AccessConfig {
    /// Whether requests need a key or an access token. Default: as soon as a key exists, a root key or an
    /// identity provider is set, or the address can be reached by other machines.
    #[arg(long, env = "RELIVE_AUTH", value_name = "WHEN")]
    pub auth: Option<Authentication>,

    /// Let anyone who reaches the server do anything without a key, on every address. Overrides `--auth`.
    #[arg(long, env = "RELIVE_ALLOW_ANONYMOUS")]
    pub allow_anonymous: bool,

    /// A key of the role root, which may do everything in every project. Better as an environment variable:
    /// other users of the machine can see arguments.
    #[arg(long, env = "RELIVE_ROOT_KEY", value_name = "KEY", hide_env_values = true)]
    pub root_key: Option<Secret>,

    /// A bearer token that may read /metrics, besides root. Better as an environment variable.
    #[arg(long, env = "RELIVE_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub metrics_token: Option<Secret>,

    /// Web origins, besides the server's own, whose pages may use this server, such as
    /// <https://dashboard.example.org>; several, separated by commas.
    #[arg(long, env = "RELIVE_ALLOW_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,

    /// Web origins whose pages may show the dashboard in a frame, such as <https://portal.example.org>, or
    /// `self`; several, separated by commas. None: no page may.
    #[arg(long, env = "RELIVE_FRAME_ANCESTORS", value_delimiter = ',', value_name = "ORIGIN")]
    pub frame_ancestors: Vec<String>,

    #[command(flatten)]
    pub oidc: OidcConfig,

    #[command(flatten)]
    pub limits: LimitConfig,

    #[command(flatten)]
    pub audit: AuditConfig,
}

/// When requests need a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Authentication {
    /// Always.
    Required,
}

/// The OpenID Connect provider.
#[derive(Args, Clone, Debug)]
pub struct OidcConfig {
    /// The issuer of an OpenID Connect provider, whose people may sign in and whose tokens are accepted.
    #[arg(long, env = "RELIVE_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,

    /// The name of this server at the provider.
    #[arg(long, env = "RELIVE_OIDC_CLIENT_ID", value_name = "ID")]
    pub oidc_client_id: Option<String>,

    /// Its secret, unless it is a public client. Better as an environment variable.
    #[arg(long, env = "RELIVE_OIDC_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<Secret>,

    /// The audience (`aud`) of bearer tokens. Default: the client id.
    #[arg(long, env = "RELIVE_OIDC_AUDIENCE", value_name = "AUDIENCE")]
    pub oidc_audience: Option<String>,

    /// The claim that names the role: a text, or a list with it. Dots lead into objects: <access.roles>.
    #[arg(long, env = "RELIVE_OIDC_ROLE_CLAIM", default_value = "relive_role", value_name = "CLAIM")]
    pub oidc_role_claim: String,

    /// The claim that names the project. Default: everybody is in the project `default`.
    #[arg(long, env = "RELIVE_OIDC_PROJECT_CLAIM", value_name = "CLAIM")]
    pub oidc_project_claim: Option<String>,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            oidc_issuer: None,
            oidc_client_id: None,
            oidc_client_secret: None,
            oidc_audience: None,
            oidc_role_claim: "relive_role".to_owned(),
            oidc_project_claim: None,
        }
    }
}

/// Limits of callers; each server counts by itself.
#[derive(Args, Clone, Debug)]
pub struct LimitConfig {
    /// Commands per second and key. Default: no limit.
    #[arg(long, env = "RELIVE_LIMIT_COMMANDS", value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_commands: Option<u32>,

    /// Requests per second and key. Default: no limit.
    #[arg(long, env = "RELIVE_LIMIT_REQUESTS", value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_requests: Option<u32>,

    /// Open WebSockets per key. Default: no limit.
    #[arg(long, env = "RELIVE_LIMIT_SOCKETS", value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_sockets: Option<u32>,

    /// Sessions of a project that have not ended. Default: no limit.
    #[arg(long, env = "RELIVE_LIMIT_LIVE_SESSIONS", value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_live_sessions: Option<u32>,

    /// Failed sign-ins of an address in a minute.
    #[arg(long, env = "RELIVE_LIMIT_UNAUTHORIZED", default_value_t = 20, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_unauthorized: u32,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            limit_commands: None,
            limit_requests: None,
            limit_sockets: None,
            limit_live_sessions: None,
            limit_unauthorized: 20,
        }
    }
}

/// How long the audit log is kept; an entry goes as soon as one of the two says so.
#[derive(Args, Clone, Debug)]
pub struct AuditConfig {
    /// Days that an entry of the audit log is kept.
    #[arg(long, env = "RELIVE_AUDIT_DAYS", default_value_t = 90, value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub audit_days: u32,

    /// Entries of the audit log that are kept, of all projects together.
    #[arg(long, env = "RELIVE_AUDIT_ROWS", default_value_t = 1_000_000, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1_000..))]
    pub audit_rows: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { audit_days: 90, audit_rows: 1_000_000 }
    }
}
