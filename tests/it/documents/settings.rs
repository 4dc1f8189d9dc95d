//! Settings and flags, as the documents name them and as the command line has them.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, CommandFactory as _};
use relive::cli::Cli;

use super::markdown::{Document, all, code_words};

/// What builds and tests read, what `relive run` sets for the commands it starts, a secret, for which there is no flag,
/// and what programs read that report runs.
const WITHOUT_FLAG: [&str; 9] = [
    "RELIVE_BUILD_COMMIT",
    "RELIVE_SESSION_ID",
    "RELIVE_NODE_ID",
    "RELIVE_TOKEN",
    "RELIVE_URL",
    "RELIVE_DISABLED",
    "RELIVE_FLUSH_SECONDS",
    "RELIVE_THREADS",
    "RELIVE_ALL_LOOKS",
];
/// Documents whose flags are those of other programs as well, or names of colours.
const OTHER_PROGRAMS: [&str; 8] = [
    "CONTRIBUTING.md",
    "docs/deploy.md",
    "docs/design.md",
    "docs/embed.md",
    "docs/report-rust.md",
    "docs/simulation.md",
    "docs/watch-react.md",
    "frontend-types/README.md",
];

fn arguments() -> Vec<Arg> {
    relive::cli::arguments(&Cli::command()).into_iter().cloned().collect()
}

/// The variables that name files with secrets.
fn secret_files() -> BTreeSet<String> {
    let arguments = arguments();
    let secrets = arguments.iter().filter(|argument| argument.is_hide_env_values_set());
    secrets.filter_map(|argument| Some(format!("{}_FILE", argument.get_env()?.to_str()?))).collect()
}

struct Setting {
    flag: String,
    default: Option<String>,
}

/// The settings by their variables.
fn settings() -> BTreeMap<String, Setting> {
    let setting = |argument: &Arg| {
        let variable = argument.get_env()?.to_str()?.to_owned();
        let is_switch = matches!(argument.get_action(), clap::ArgAction::SetTrue);
        let default = argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        let default = if is_switch { None } else { default };
        Some((variable, Setting { flag: format!("--{}", argument.get_long()?), default }))
    };
    arguments().iter().filter_map(setting).collect()
}

#[test]
fn every_setting_is_in_the_operators_table() {
    let document = Document::read("docs/operating.md");
    let settings = settings();
    let mut listed = BTreeSet::new();
    for section in ["`relive serve`", "The other commands"] {
        for row in document.section(section).rows() {
            let variable = code_words(&row[0]).concat();
            let setting = settings.get(&variable).unwrap_or_else(|| panic!("there is no {variable}"));
            assert_eq!(code_words(&row[1]).concat(), setting.flag, "{variable}");
            if let Some(default) = &setting.default {
                assert_eq!(code_words(&row[2]).concat(), *default, "{variable}");
            }
            assert!(listed.insert(variable), "{row:?} twice");
        }
    }
    assert_eq!(listed, settings.keys().cloned().collect());
}

/// Words of a text that begin as `start` says, as far as `goes_on` holds.
fn words(text: &str, start: &str, goes_on: fn(char) -> bool) -> Vec<String> {
    let found =
        text.match_indices(start).filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '-'));
    found.map(|(at, _)| text[at..].chars().take_while(|c| goes_on(*c)).collect()).collect()
}

#[test]
fn every_variable_that_a_document_names_exists() {
    let (settings, secret_files) = (settings(), secret_files());
    for document in all() {
        for name in words(&document.text, "RELIVE_", |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
            let is_beginning = name == "RELIVE_";
            let is_known =
                settings.contains_key(&name) || secret_files.contains(&name) || WITHOUT_FLAG.contains(&&*name);
            assert!(is_known || is_beginning, "{}: there is no {name}", document.name);
        }
    }
}

#[test]
fn every_flag_is_in_the_operators_document() {
    let document = Document::read("docs/operating.md");
    for flag in arguments().iter().filter_map(|argument| argument.get_long()) {
        let flag = format!("--{flag}");
        let is_named =
            words(&document.text, &flag, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-').contains(&flag);
        assert!(is_named, "docs/operating.md does not name {flag}");
    }
}

#[test]
fn every_flag_that_a_document_names_exists() {
    let flags: BTreeSet<String> = arguments().iter().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    let mut seen = 0;
    for document in all().into_iter().filter(|document| !OTHER_PROGRAMS.contains(&&*document.name)) {
        for flag in words(&document.text, "--", |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            let flag = flag.trim_end_matches('-');
            if ["", "--help", "--version"].contains(&flag) {
                continue;
            }
            assert!(flags.contains(flag), "{}: there is no {flag}", document.name);
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} flags found; is this test reading the documents?");
}
