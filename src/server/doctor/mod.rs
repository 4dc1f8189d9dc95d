//! Looks for what would keep a server from working, with these settings on this machine, and says what to do about it.
//!
//! Nothing is changed. The embedded PostgreSQL is started for it if it has a database and does not run, and stopped
//! again.

mod database;
mod machine;
mod services;

use serde::Serialize;

use super::check_settings;
use crate::config::ServeConfig;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    Ok,
    /// The server works, and not as well as it could, or not for long.
    Warn,
    /// The server does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its name, which scripts may rely on.
    pub check: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    /// What to do, unless it is all right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, detail: detail.into(), remedy: None }
    }

    fn warn(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn fail(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// Looks at everything.
pub async fn examine(config: &ServeConfig) -> Vec<Finding> {
    let mut findings = vec![settings(config).await, machine::descriptors(config), machine::address(config).await];
    if config.database.database_url.is_none() {
        findings.extend(machine::data_directory(&config.database));
    }
    findings.extend(database::examine(&config.database).await);
    findings.extend(services::examine(config).await);
    findings
}

async fn settings(config: &ServeConfig) -> Finding {
    match check_settings(config).await {
        Ok(()) => Finding::ok("settings", "they go together"),
        Err(error) => {
            Finding::fail("settings", error.to_string(), "correct it; `relive config show` says where it is set")
        }
    }
}
