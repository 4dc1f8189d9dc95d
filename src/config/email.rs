//! E-mails.

use clap::Args;

use super::Secret;

/// E-mails about alerts.
#[derive(Args, Clone, Debug, Default)]
pub struct EmailConfig {
    /// The server that sends e-mails about alerts, as <smtps://name:password@mail.example.org>, or with
    /// smtp:// for STARTTLS. Better as an environment variable: other users of the machine can see
    /// arguments.
    #[arg(long, env = "RELIVE_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,

    /// The address that they come from, such as <relive@example.org> or <Relive <relive@example.org>>.
    #[arg(long, env = "RELIVE_SMTP_FROM", value_name = "ADDRESS")]
    pub smtp_from: Option<String>,
}
