//! Messaging between the servers on one database.

use clap::Args;

use super::Secret;

/// Messaging between servers.
#[derive(Args, Clone, Debug)]
pub struct MessagingConfig {
    /// NATS, by which servers on one database tell each other of commits and of messages that are being
    /// written, such as <nats://user:password@127.0.0.1:4222>; several of one cluster, separated by commas.
    /// Without it, and while it is away, the database is used for that.
    #[arg(long, env = "RELIVE_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub nats_url: Option<Secret>,

    /// What the subject begins with. Servers with the same one, on the same database, belong together.
    #[arg(long, env = "RELIVE_NATS_PREFIX", default_value = "relive", value_name = "NAME",
          value_parser = prefix)]
    pub nats_prefix: String,
}

impl Default for MessagingConfig {
    fn default() -> Self {
        Self { nats_url: None, nats_prefix: "relive".to_owned() }
    }
}

/// Tokens of a subject, separated by dots.
fn prefix(text: &str) -> Result<String, String> {
    let is_token =
        |token: &str| !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let is_prefix = text.len() <= 100 && text.split('.').all(is_token);
    is_prefix
        .then(|| text.to_owned())
        .ok_or_else(|| "expected letters, digits, - and _, with single dots between".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_no_wildcards_and_no_empty_tokens() {
        for text in ["relive", "a.b-c.D_9"] {
            assert_eq!(prefix(text).as_deref(), Ok(text));
        }
        for text in ["", ".", "a.", "a..b", "a.*", ">", "a b", &"a".repeat(101)] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }
}
