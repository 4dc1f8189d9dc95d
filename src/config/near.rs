//! The name that was probably meant by a misspelled one.

/// The nearest of `known`, if it is so near that it was probably meant: the same letters with other separators, or one
/// mistake for every five characters.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-', '.'], "");
    let wanted = plain(name);
    let measured = known.map(|known| (strsim::damerau_levenshtein(&wanted, &plain(known)), known));
    let (distance, best) = measured.min_by_key(|(distance, _)| *distance)?;
    let allowed = wanted.chars().count().min(plain(best).chars().count()) / 5;
    (distance <= allowed).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["listen", "data_dir", "llm_model", "max_sockets", "log"];
        let near = |name| nearest(name, known.into_iter());
        assert_eq!(near("lisen"), Some("listen"));
        assert_eq!(near("data-dir"), Some("data_dir"));
        assert_eq!(near("maxsocket"), Some("max_sockets"));
        assert_eq!(near("dog"), None);
        assert_eq!(near("socket_limit"), None);
        assert_eq!(near(""), None);
    }
}
