//! Settings of the server from all their places: a flag goes before a variable, a variable before the configuration
//! file, and the file before the default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _};

use super::{Cli, lenient};
use crate::config::{self, ConfigFile, ConfigFileError, DEFAULT_FILES, KnownSetting, SettingKind};

/// The argument that names the configuration file; commands without it have no settings of the server.
const FILE_ARGUMENT: &str = "config_file";
/// What is shown in place of a secret.
const HIDDEN: &str = "***";

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    Flag,
    Variable(String),
    /// The variable names a file with the value.
    SecretFile(String),
    File {
        path: PathBuf,
        line: usize,
    },
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(variable) | Self::SecretFile(variable) => f.write_str(variable),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting as a command uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Its name in a configuration file.
    pub key: String,
    pub kind: SettingKind,
    /// As the command line takes it; stars for a secret, `None` if it is not set.
    pub value: Option<String>,
    pub source: SettingSource,
    /// Whether it is set to something else than its default.
    pub differs: bool,
}

/// The settings of the server as a command uses them.
#[derive(Clone, Debug, Default)]
pub struct EffectiveSettings {
    pub file: Option<PathBuf>,
    pub all: Vec<EffectiveSetting>,
}

impl EffectiveSettings {
    /// Those that are not their defaults, in one line.
    #[must_use]
    pub fn changed(&self) -> String {
        let shown = self.all.iter().filter(|setting| setting.differs);
        let texts = shown.map(|setting| format!("{}={}", setting.key, setting.value.as_deref().unwrap_or_default()));
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFault {
    #[error(transparent)]
    File(#[from] ConfigFileError),
    #[error("{variable}: cannot read {}: {error}", path.display())]
    Secret { variable: String, path: PathBuf, error: std::io::Error },
    #[error("both {variable} and {variable}_FILE are set")]
    Twice { variable: String },
}

/// Values from elsewhere than the command line and the variables of settings, by the ids of the arguments.
type Values = BTreeMap<String, (String, SettingSource)>;

/// The settings of `relive serve`, and what they are called elsewhere.
struct Setting {
    known: KnownSetting,
    arg: Arg,
    variable: Option<String>,
}

/// The settings that a configuration file may have.
fn settings() -> Vec<Setting> {
    let command = Cli::command();
    let serve = command.get_subcommands().find(|command| command.get_name() == "serve");
    let args = serve.into_iter().flat_map(Command::get_arguments).filter(|arg| arg.get_id() != FILE_ARGUMENT);
    args.filter_map(|arg| {
        let kind = if matches!(arg.get_action(), ArgAction::SetTrue) {
            SettingKind::Switch
        } else if arg.get_value_delimiter().is_some() {
            SettingKind::List
        } else {
            SettingKind::Single
        };
        let known =
            KnownSetting { key: arg.get_long()?.replace('-', "_"), kind, is_secret: arg.is_hide_env_values_set() };
        let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
        Some(Setting { known, arg: arg.clone(), variable })
    })
    .collect()
}

/// The variables that name files with secrets.
pub(super) fn secret_file_variables() -> Vec<String> {
    let secrets = settings().into_iter().filter(|setting| setting.known.is_secret);
    secrets.filter_map(|setting| Some(config::file_variable(&setting.variable?))).collect()
}

/// Reads a configuration file, and finds all its faults.
///
/// # Errors
///
/// If it cannot be read or has faults.
pub(super) fn read_file(path: &Path) -> Result<ConfigFile, ConfigFileError> {
    let settings = settings();
    let known: Vec<KnownSetting> = settings.iter().map(|setting| setting.known.clone()).collect();
    ConfigFile::read(path, &known, |setting, value| {
        let arg = settings.iter().find(|other| other.known.key == setting.key).map(|found| &found.arg);
        arg.map_or(Ok(()), |arg| check(arg, setting.kind, value))
    })
}

/// What is wrong with a value, as the command line sees it.
fn check(arg: &Arg, kind: SettingKind, value: &str) -> Result<(), String> {
    if kind == SettingKind::Switch {
        return Ok(());
    }
    let flag = format!("--{}={value}", arg.get_long().unwrap_or_default());
    let arg = arg.clone().env(Resettable::Reset);
    let tried =
        Command::new("relive").no_binary_name(true).disable_help_flag(true).arg(arg).try_get_matches_from([flag]);
    tried.map(drop).map_err(|error| {
        if let Some(reason) = std::error::Error::source(&error) {
            return reason.to_string();
        }
        let text = error.to_string();
        let lines = text.lines().take_while(|line| !line.starts_with("For more")).map(str::trim);
        let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        text.trim_start_matches("error: ").to_owned()
    })
}

/// The configuration file that is used: the one that was named, or the first of the usual ones that is there.
pub(super) fn file_of(named: Option<&Path>) -> Option<PathBuf> {
    let usual = || DEFAULT_FILES.iter().map(PathBuf::from).find(|path| path.exists());
    named.map(Path::to_owned).or_else(usual)
}

/// The command line with the defaults that a configuration file and files with secrets give it, and the file.
///
/// `matches` are those of a first reading, without these.
pub(super) fn with_file(matches: &ArgMatches) -> Result<Option<(Command, Layers)>, SettingsFault> {
    if !takes_file(used(&Cli::command(), matches)) {
        return Ok(None);
    }
    let named = leaf(matches).get_one::<PathBuf>(FILE_ARGUMENT);
    let file = file_of(named.map(PathBuf::as_path)).map(|path| read_file(&path)).transpose()?;
    let settings = settings();
    let values = values(&settings, file.as_ref())?;
    let command = defaults(lenient(Cli::command()), &values);
    Ok(Some((command, Layers { path: file.map(|file| file.path), settings, values })))
}

/// Whether a command has settings of the server.
fn takes_file(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == FILE_ARGUMENT)
}

/// The command that was used, below its groups.
fn used<'a>(command: &'a Command, matches: &ArgMatches) -> &'a Command {
    let below = matches.subcommand().and_then(|(name, below)| Some((command.find_subcommand(name)?, below)));
    below.map_or(command, |(command, below)| used(command, below))
}

/// What [`with_file`] found.
pub(super) struct Layers {
    path: Option<PathBuf>,
    settings: Vec<Setting>,
    values: Values,
}

impl Layers {
    /// The settings as the command uses them.
    pub(super) fn effective(self, matches: &ArgMatches) -> EffectiveSettings {
        let leaf = leaf(matches);
        let all = self.settings.iter().map(|setting| effective(setting, &self.values, leaf)).collect();
        EffectiveSettings { file: self.path, all }
    }
}

fn values(settings: &[Setting], file: Option<&ConfigFile>) -> Result<Values, SettingsFault> {
    let mut values = Values::new();
    for Setting { known, arg, variable } in settings {
        if let Some(file) = file
            && let Some(found) = file.settings.get(&known.key)
        {
            let source = SettingSource::File { path: file.path.clone(), line: found.line };
            values.insert(arg.get_id().to_string(), (found.value.clone(), source));
        }
        let Some(variable) = variable.as_ref().filter(|_| known.is_secret) else { continue };
        let file_variable = config::file_variable(variable);
        let Some(path) = set(&file_variable).map(PathBuf::from) else { continue };
        if set(variable).is_some() {
            return Err(SettingsFault::Twice { variable: variable.clone() });
        }
        let wrong = |error| SettingsFault::Secret { variable: file_variable.clone(), path: path.clone(), error };
        let secret = config::read_secret(&path).map_err(wrong)?;
        values.insert(arg.get_id().to_string(), (secret, SettingSource::SecretFile(file_variable)));
    }
    Ok(values)
}

/// A variable, unless it is empty.
fn set(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.to_string_lossy().trim().is_empty())
}

/// Gives the arguments of commands that use a configuration file these defaults.
fn defaults(command: Command, values: &Values) -> Command {
    let command = if takes_file(&command) {
        command.mut_args(|arg| match values.get(arg.get_id().as_str()) {
            Some((value, _)) => arg.default_value(value.clone()),
            None => arg,
        })
    } else {
        command
    };
    command.mut_subcommands(|below| defaults(below, values))
}

/// The matches of the command itself, below those of its groups.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, below)| leaf(below))
}

fn effective(setting: &Setting, values: &Values, leaf: &ArgMatches) -> EffectiveSetting {
    let Setting { known, arg, variable } = setting;
    let id = arg.get_id().as_str();
    let raw = leaf.try_get_raw(id).ok().flatten();
    let value = raw.map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","));
    let source = match leaf.try_contains_id(id).ok().and_then(|_| leaf.value_source(id)) {
        Some(ValueSource::CommandLine) => SettingSource::Flag,
        Some(ValueSource::EnvVariable) => SettingSource::Variable(variable.clone().unwrap_or_default()),
        _ => values.get(id).map_or(SettingSource::Default, |(_, source)| source.clone()),
    };
    let default = match known.kind {
        SettingKind::Switch => Some("false".to_owned()),
        _ => arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned()),
    };
    let differs = source != SettingSource::Default && value != default;
    let value = if known.is_secret { value.map(|_| HIDDEN.to_owned()) } else { value };
    EffectiveSetting { key: known.key.clone(), kind: known.kind, value, source, differs }
}
