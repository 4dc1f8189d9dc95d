//! Environment variables that look like settings and are unknown.

use super::near::nearest;

/// The prefix of the settings.
const PREFIX: &str = "RELIVE_";
/// Set by `relive run` for the commands it starts, which may start a `relive` in turn.
const INHERITED: [&str; 2] = ["RELIVE_SESSION_ID", "RELIVE_NODE_ID"];

/// An unknown variable, and the one that was probably meant.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    pub name: String,
    pub nearest: Option<String>,
}

/// Those of `names` that have our prefix and are not among `known`.
#[must_use]
pub fn unknown(names: impl Iterator<Item = String>, known: &[String]) -> Vec<UnknownVariable> {
    let is_known = |name: &String| known.contains(name) || INHERITED.contains(&name.as_str());
    let mut unknown: Vec<String> = names.filter(|name| name.starts_with(PREFIX) && !is_known(name)).collect();
    unknown.sort();
    unknown.into_iter().map(|name| UnknownVariable { nearest: meant(&name, known), name }).collect()
}

/// The prefix, which all have in common, makes no names similar.
fn meant(name: &str, known: &[String]) -> Option<String> {
    let short = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let shortened: Vec<String> = known.iter().map(|name| short(name)).collect();
    let found = nearest(&short(name), shortened.iter().map(String::as_str))?;
    known.iter().find(|name| short(name) == found).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_variable_is_named_with_the_one_that_was_meant() {
        let known = ["RELIVE_LISTEN", "RELIVE_DATA_DIR", "RELIVE_LLM_API_KEY", "DATABASE_URL", "RELIVE_JOBS"];
        let known = known.map(str::to_owned);
        let names = [
            "RELIVE_LISTE",
            "RELIVE_DATADIR",
            "RELIVE_LISTEN",
            "PATH",
            "RELIVE_NODE_ID",
            "RELIVE_COLOUR",
            "RELIVE_DATABASE_URL",
            "RELIVE_DOCS",
        ];
        let found = unknown(names.map(str::to_owned).into_iter(), &known);
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.nearest.as_deref())).collect();
        assert_eq!(
            found,
            [
                ("RELIVE_COLOUR", None),
                ("RELIVE_DATABASE_URL", Some("DATABASE_URL")),
                ("RELIVE_DATADIR", Some("RELIVE_DATA_DIR")),
                ("RELIVE_DOCS", None),
                ("RELIVE_LISTE", Some("RELIVE_LISTEN")),
            ]
        );
    }
}
