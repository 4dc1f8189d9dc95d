//! The configuration file: `relive.toml`.
//!
//! A key is a flag of `relive serve` without its dashes: `max_sockets = 500` is `--max-sockets 500`. A secret may stand
//! in a file of its own, which `…_file` names. Every fault is found, not only the first.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near::nearest;

/// Where a file is looked for if none is named; the first that is there is used.
pub const DEFAULT_FILES: [&str; 2] = ["relive.toml", "/etc/relive/relive.toml"];
/// What the key of a secret, or its variable, ends in if it names a file with the secret.
const FILE_KEY: &str = "_file";
/// A larger file is refused.
const LONGEST: u64 = 1 << 20;
/// The same for a file with a secret.
const LONGEST_SECRET: u64 = 64 << 10;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    Switch,
    /// Several texts, separated by commas where there can be only one.
    List,
    /// A text or a number.
    Single,
}

/// A setting that a configuration file may have.
#[derive(Clone, Debug)]
pub struct KnownSetting {
    /// Its name in the file.
    pub key: String,
    pub kind: SettingKind,
    pub is_secret: bool,
}

/// A setting as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSetting {
    /// As the command line takes it.
    pub value: String,
    pub line: usize,
}

/// One thing that is wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    pub line: usize,
    pub text: String,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{}", Faults { path, faults })]
    Faults { path: PathBuf, faults: Vec<FileFault> },
}

/// A line for each fault.
struct Faults<'a> {
    path: &'a Path,
    faults: &'a [FileFault],
}

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, FileFault { line, text }) in self.faults.iter().enumerate() {
            let end = if at + 1 == self.faults.len() { "" } else { "\n" };
            write!(f, "{}:{line}: {text}{end}", self.path.display())?;
        }
        Ok(())
    }
}

/// A configuration file whose settings are all known and valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// By their keys.
    pub settings: BTreeMap<String, FileSetting>,
}

impl ConfigFile {
    /// Reads a file. `check` says what is wrong with the value of a setting.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has faults: all of them are named.
    pub fn read(
        path: &Path,
        known: &[KnownSetting],
        check: impl Fn(&KnownSetting, &str) -> Result<(), String>,
    ) -> Result<Self, ConfigFileError> {
        let unreadable = |error| ConfigFileError::Read { path: path.to_owned(), error };
        let text = bounded(path, LONGEST).map_err(unreadable)?;
        let parsed = parse(&text, known, &check);
        let settings = parsed.map_err(|faults| ConfigFileError::Faults { path: path.to_owned(), faults })?;
        Ok(Self { path: path.to_owned(), settings })
    }
}

/// The name of the variable whose value is the path of a file with a secret.
#[must_use]
pub fn file_variable(variable: &str) -> String {
    format!("{variable}{}", FILE_KEY.to_uppercase())
}

/// A secret from a file of its own, without the line feed at its end.
///
/// # Errors
///
/// If it cannot be read, is longer than 64 KiB, is not UTF-8 or is empty.
pub fn read_secret(path: &Path) -> std::io::Result<String> {
    let text = bounded(path, LONGEST_SECRET)?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty"));
    }
    Ok(secret.to_owned())
}

fn bounded(path: &Path, longest: u64) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(longest + 1).read_to_string(&mut text)?;
    if text.len() as u64 > longest {
        let why = format!("it is longer than {} KiB", longest >> 10);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

/// What a text has, or all that is wrong with it.
fn parse(
    text: &str,
    known: &[KnownSetting],
    check: &impl Fn(&KnownSetting, &str) -> Result<(), String>,
) -> Result<BTreeMap<String, FileSetting>, Vec<FileFault>> {
    let line_of = |span: Option<Range<usize>>| {
        let start = span.map_or(0, |span| span.start.min(text.len()));
        text.get(..start).unwrap_or_default().matches('\n').count() + 1
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<FileFault> = errors
        .iter()
        .map(|error| FileFault { line: line_of(error.span()), text: error.message().replace('\n', ", ") })
        .collect();
    let mut settings = BTreeMap::new();
    for (key, value) in table.get_ref() {
        let line = line_of(Some(key.span()));
        match setting(key.get_ref(), value, known, check) {
            Ok((key, value)) => {
                if settings.insert(key.clone(), FileSetting { value, line }).is_some() {
                    faults.push(FileFault { line, text: format!("both {key} and {key}{FILE_KEY} are set") });
                }
            }
            Err(text) => faults.push(FileFault { line, text }),
        }
    }
    faults.sort_by_key(|fault| fault.line);
    // A value that could not be parsed is reported where it stands, not as its key's too.
    faults.dedup_by_key(|fault| fault.line);
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

/// One entry of the file: the setting's key and value.
fn setting(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    known: &[KnownSetting],
    check: &impl Fn(&KnownSetting, &str) -> Result<(), String>,
) -> Result<(String, String), String> {
    let named = |key: &str| known.iter().find(|setting| setting.key == key);
    let (setting, text) = if let Some(setting) = named(key) {
        let text = text_of(setting.kind, value.get_ref()).map_err(|why| format!("{key}: {why}"))?;
        (setting, text)
    } else if let Some(setting) = key.strip_suffix(FILE_KEY).and_then(named).filter(|setting| setting.is_secret) {
        let path = value.get_ref().as_str().ok_or_else(|| format!("{key}: expected a path, as a text in quotes"))?;
        let secret = read_secret(Path::new(path)).map_err(|error| format!("{key}: cannot read {path}: {error}"))?;
        (setting, secret)
    } else {
        return Err(unknown(key, value.get_ref(), known));
    };
    check(setting, &text).map_err(|why| format!("{key}: {why}"))?;
    Ok((setting.key.clone(), text))
}

fn unknown(key: &str, value: &DeValue<'_>, known: &[KnownSetting]) -> String {
    let shown = key.escape_debug();
    if matches!(value, DeValue::Table(_)) {
        return format!("there is no table {shown}; settings stand on lines of their own, without tables");
    }
    let files = known.iter().filter(|setting| setting.is_secret).map(|setting| format!("{}{FILE_KEY}", setting.key));
    let names: Vec<String> = known.iter().map(|setting| setting.key.clone()).chain(files).collect();
    match nearest(key, names.iter().map(String::as_str)) {
        Some(meant) => format!("there is no setting {shown}; did you mean {meant}?"),
        None => format!("there is no setting {shown}"),
    }
}

/// A value as the command line takes it.
fn text_of(kind: SettingKind, value: &DeValue<'_>) -> Result<String, String> {
    match (kind, value) {
        (SettingKind::Switch, DeValue::Boolean(is_on)) => Ok(is_on.to_string()),
        (SettingKind::Switch, _) => Err("expected true or false".to_owned()),
        (SettingKind::List, DeValue::Array(members)) => {
            let texts = members.iter().map(|member| single(member.get_ref()));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        (SettingKind::List, value) => single(value).map_err(|_| "expected a list of texts in quotes".to_owned()),
        (SettingKind::Single, value) => single(value),
    }
}

fn single(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err("the number is too large".to_owned()),
        },
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        _ => Err("expected a text in quotes or a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<KnownSetting> {
        let of = |key: &str, kind, is_secret| KnownSetting { key: key.to_owned(), kind, is_secret };
        vec![
            of("listen", SettingKind::Single, false),
            of("max_sockets", SettingKind::Single, false),
            of("allow_anonymous", SettingKind::Switch, false),
            of("allow_origin", SettingKind::List, false),
            of("root_key", SettingKind::Single, true),
        ]
    }

    type Parsed = Result<Vec<(String, String, usize)>, Vec<(usize, String)>>;

    fn parsed(text: &str) -> Parsed {
        let check = |setting: &KnownSetting, value: &str| match value.parse::<u32>() {
            Err(_) if setting.key == "max_sockets" => Err("no number".to_owned()),
            _ => Ok(()),
        };
        let settings = parse(text, &known(), &check);
        settings
            .map(|settings| settings.into_iter().map(|(key, it)| (key, it.value, it.line)).collect())
            .map_err(|faults| faults.into_iter().map(|fault| (fault.line, fault.text)).collect())
    }

    #[test]
    fn values_come_as_the_command_line_takes_them() {
        let text = "# where\nlisten = \"0.0.0.0:80\"\nmax_sockets = 1_000\nallow_anonymous = true\n\
                    allow_origin = [\n  \"https://a.example\",\n  \"https://b.example\"]\n";
        let setting = |key: &str, value: &str, line| (key.to_owned(), value.to_owned(), line);
        let expected = [
            setting("allow_anonymous", "true", 4),
            setting("allow_origin", "https://a.example,https://b.example", 5),
            setting("listen", "0.0.0.0:80", 2),
            setting("max_sockets", "1000", 3),
        ];
        assert_eq!(parsed(text).expect("settings"), expected);
        assert_eq!(parsed("").expect("nothing"), []);
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let text = "lisen = \"x\"\ncolour = 1\nmax_sockets = \"many\"\nallow_anonymous = 1\n\
                    listen = true\n[database]\nurl = \"x\"\n";
        let faults = parsed(text).expect_err("faults");
        let expected = [
            (1, "there is no setting lisen; did you mean listen?"),
            (2, "there is no setting colour"),
            (3, "max_sockets: no number"),
            (4, "allow_anonymous: expected true or false"),
            (5, "listen: expected a text in quotes or a number"),
            (6, "there is no table database; settings stand on lines of their own, without tables"),
        ];
        assert_eq!(faults, expected.map(|(line, text)| (line, text.to_owned())));
        for (broken, line) in [("listen = \"a\"\nlisten = \"b\"\n", 2), ("max_sockets = 1\nlisten = \n", 2)] {
            let faults = parsed(broken).expect_err("faults");
            assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [line], "{broken}: {faults:?}");
        }
    }

    #[test]
    fn a_secret_may_stand_in_a_file_of_its_own() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        std::fs::write(&path, "a secret\n").expect("a file");
        let text = format!("root_key_file = {:?}\n", path.display().to_string());
        assert_eq!(parsed(&text).expect("a secret"), [("root_key".to_owned(), "a secret".to_owned(), 1)]);
        let both = format!("root_key = \"x\"\n{text}");
        assert_eq!(parsed(&both).expect_err("both")[0].1, "both root_key and root_key_file are set");
        let gone = parsed("root_key_file = \"/nowhere/key\"").expect_err("gone");
        assert!(gone[0].1.starts_with("root_key_file: cannot read /nowhere/key: "), "{gone:?}");
        let no_secret = parsed("listen_file = \"/nowhere\"").expect_err("no secret");
        assert_eq!(no_secret[0].1, "there is no setting listen_file");
    }
}
