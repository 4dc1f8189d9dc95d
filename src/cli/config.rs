//! `relive config`: looks at the configuration file and the settings, and starts nothing.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::settings::{EffectiveSetting, EffectiveSettings, file_of, read_file};
use super::{complain, exit, unknown_variables};
use crate::config::{DEFAULT_FILES, ServeConfig, SettingKind, UnknownVariable};
use crate::server;

/// What `relive config` does; the long help stands with [`CliCommand`](super::CliCommand).
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ConfigAction {
    /// Name every fault of a configuration file, with its line.
    ///
    /// The exit status is 0 if there is none, and 1 otherwise.
    Check(CheckArgs),
    /// Show the settings that `relive serve` would use, and where each comes from.
    ///
    /// The lines are those of a configuration file; what is not set is commented out, and secrets are hidden. Settings
    /// that do not go together are named, and the exit status is 1 then.
    Show(Box<ServeConfig>),
}

#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The file. Default: the one that `relive serve` would use.
    pub file: Option<PathBuf>,
}

/// Runs the command and gives the exit status.
pub async fn run(action: ConfigAction, settings: EffectiveSettings) -> ExitCode {
    match action {
        ConfigAction::Check(args) => check(&args),
        ConfigAction::Show(config) => show(&config, &settings).await,
    }
}

fn check(args: &CheckArgs) -> ExitCode {
    let named = args.file.clone().or_else(|| std::env::var_os("RELIVE_CONFIG").map(PathBuf::from));
    warn_of_variables();
    let Some(path) = file_of(named.as_deref()) else {
        eprintln!("relive: there is no configuration file ({})", DEFAULT_FILES.join(", "));
        return exit::code(exit::FAILED);
    };
    match read_file(&path) {
        Ok(file) => {
            eprintln!("relive: {}: {} settings, no fault", path.display(), file.settings.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

async fn show(config: &ServeConfig, settings: &EffectiveSettings) -> ExitCode {
    let mut text = String::new();
    if let Some(path) = &settings.file {
        text += &format!("# {}\n", path.display());
    }
    let lines: Vec<(String, String)> =
        settings.all.iter().map(|setting| (line(setting), setting.source.to_string())).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default().min(60);
    for (line, source) in lines {
        text += &format!("{line:width$}  # {source}\n");
    }
    let mut output = std::io::stdout();
    if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
        return exit::code(exit::FAILED);
    }
    warn_of_variables();
    match server::check_settings(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

/// As a configuration file has it.
fn line(setting: &EffectiveSetting) -> String {
    let EffectiveSetting { key, kind, value, .. } = setting;
    let Some(value) = value else { return format!("# {key} =") };
    let quoted = |text: &str| toml::Value::from(text).to_string();
    match kind {
        SettingKind::Switch => format!("{key} = {value}"),
        SettingKind::List => {
            let members: Vec<String> = value.split(',').map(quoted).collect();
            format!("{key} = [{}]", members.join(", "))
        }
        SettingKind::Single if value.parse::<f64>().is_ok_and(f64::is_finite) => format!("{key} = {value}"),
        SettingKind::Single => format!("{key} = {}", quoted(value)),
    }
}

fn warn_of_variables() {
    for UnknownVariable { name, nearest } in unknown_variables() {
        let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
        eprintln!("relive: there is no setting {name}{hint}");
    }
}
