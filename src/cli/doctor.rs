//! `relive doctor`: what would keep a server from working here, and what to do about it.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use super::{exit, unknown_variables};
use crate::config::{ServeConfig, UnknownVariable};
use crate::server::doctor::{self, Finding, Verdict};

/// What `relive doctor` takes: the settings of the server that is to run here.
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print an array of objects in JSON: `check`, `verdict` (ok, warn, fail), `detail` and `remedy`.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ServeConfig,
}

/// Looks at everything. The exit status is 0 unless something fails.
pub async fn run(args: DoctorArgs) -> ExitCode {
    let mut findings: Vec<Finding> = unknown_variables().into_iter().map(unknown).collect();
    findings.extend(doctor::examine(&args.config).await);
    let worst = findings.iter().map(|finding| finding.verdict).max();
    let text = if args.json {
        serde_json::to_string_pretty(&findings).map(|text| text + "\n").unwrap_or_default()
    } else {
        findings.iter().map(|finding| line(finding, std::io::stdout().is_terminal())).collect()
    };
    let mut output = std::io::stdout();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    if worst == Some(Verdict::Fail) || written.is_err() { exit::code(exit::FAILED) } else { ExitCode::SUCCESS }
}

fn unknown(UnknownVariable { name, nearest }: UnknownVariable) -> Finding {
    let remedy = nearest.map_or_else(|| "unset it".to_owned(), |nearest| format!("did you mean {nearest}?"));
    let detail = format!("there is no setting {name}");
    Finding { check: "variables", verdict: Verdict::Warn, detail, remedy: Some(remedy) }
}

fn line(finding: &Finding, is_coloured: bool) -> String {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok  ", 32),
        Verdict::Warn => ("warn", 33),
        Verdict::Fail => ("fail", 31),
    };
    let word = if is_coloured { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word.to_owned() };
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let mut line = format!("{word}  {:<20} {}\n", finding.check, clean(&finding.detail));
    if let Some(remedy) = &finding.remedy {
        line += &format!("      {:<20} → {}\n", "", clean(remedy));
    }
    line
}
