//! Environment variables that look like settings and are unknown.

/// The prefix of the settings.
const PREFIX: &str = "RELIVE_";
/// Set by `relive run` for the commands it starts, which may start a `relive` in turn.
const INHERITED: [&str; 2] = ["RELIVE_SESSION_ID", "RELIVE_NODE_ID"];
/// The least similarity of a suggested name, from 0 to 1.
const SIMILAR: f64 = 0.75;

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
    unknown.into_iter().map(|name| UnknownVariable { nearest: nearest(&name, known), name }).collect()
}

fn nearest(name: &str, known: &[String]) -> Option<String> {
    let similarity = |other: &&String| strsim::normalized_damerau_levenshtein(name, other);
    let best = known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(&best) >= SIMILAR).then(|| best.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_variable_is_named_with_the_one_that_was_meant() {
        let known = ["RELIVE_LISTEN", "RELIVE_DATA_DIR", "RELIVE_LLM_API_KEY", "DATABASE_URL"].map(str::to_owned);
        let names = ["RELIVE_LISTE", "RELIVE_DATADIR", "RELIVE_LISTEN", "PATH", "RELIVE_NODE_ID", "RELIVE_COLOUR"];
        let found = unknown(names.map(str::to_owned).into_iter(), &known);
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.nearest.as_deref())).collect();
        assert_eq!(
            found,
            [
                ("RELIVE_COLOUR", None),
                ("RELIVE_DATADIR", Some("RELIVE_DATA_DIR")),
                ("RELIVE_LISTE", Some("RELIVE_LISTEN")),
            ]
        );
    }
}
