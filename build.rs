//! Makes the server be built anew when the dashboard was, and tells it which commit it is built from, and when.
//!
//! Packages say it by `RELIVE_BUILD_COMMIT` and `SOURCE_DATE_EPOCH`. Elsewhere git and the clock are asked; without git
//! the commit is `unknown`.

use std::path::Path;
use std::process::Command;

use chrono::{DateTime, Utc};

fn main() {
    // Cargo would take a folder that is not there for one that always changes. It is empty, and the
    // server says how to fill it, where the dashboard has not been built. If it cannot be made, for
    // want of permission, builds only take longer.
    drop(std::fs::create_dir_all("dashboard/dist"));
    println!("cargo::rerun-if-changed=dashboard/dist");
    println!("cargo::rerun-if-env-changed=RELIVE_BUILD_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // Cargo gives these to the programs that it runs, too: no names that a server would take for settings.
    println!("cargo::rustc-env=VERSION_COMMIT={}", commit());
    println!("cargo::rustc-env=VERSION_DATE={}", date());
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn commit() -> String {
    variable("RELIVE_BUILD_COMMIT").or_else(commit_of_git).unwrap_or_else(|| "unknown".to_owned())
}

/// The commit of the repository that this is, and not of one around it.
fn commit_of_git() -> Option<String> {
    let root = variable("CARGO_MANIFEST_DIR")?;
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&root).canonicalize().ok()? {
        return None;
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    // While somebody works on it, a commit is no reason to build everything anew: what may be later says so.
    if variable("PROFILE").as_deref() != Some("release") {
        return Some(format!("{commit}+dev"));
    }
    // Each commit, and each change of the branch, adds to the log of HEAD.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    Some(commit)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn date() -> String {
    let seconds = variable("SOURCE_DATE_EPOCH").and_then(|seconds| seconds.parse().ok());
    let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_else(Utc::now);
    at.format("%Y-%m-%d").to_string()
}
