//! Conditional requests: `If-Match` and `If-None-Match` (RFC 9110, section 13.1).

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName};

use super::error::ApiError;
use crate::hub::HubError;
use relive_protocol::ErrorCode;
use relive_session::{Refusal, Revision};

/// The value of a condition.
#[derive(Debug, PartialEq, Eq)]
enum Tags<'a> {
    /// `*`: any representation.
    Any,
    These(Vec<Tag<'a>>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag<'a> {
    is_weak: bool,
    /// With its quotes.
    text: &'a [u8],
}

/// The header is neither `*` nor a list of entity tags.
#[derive(Debug)]
struct Malformed;

/// The revisions that a change may be made on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Any,
    /// Any of these. Empty if the client named only tags that no session ever has; then nothing may be
    /// changed.
    OneOf(Vec<Revision>),
}

impl Expected {
    pub fn allows(&self, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }

    /// Whether there are several revisions to choose from.
    pub fn is_choice(&self) -> bool {
        matches!(self, Self::OneOf(revisions) if revisions.len() > 1)
    }

    /// The revision to compare with when the session is at `actual`; `None` for any. Revisions begin at 1, so no
    /// session is at 0.
    pub fn nearest(&self, actual: Revision) -> Option<Revision> {
        match self {
            Self::Any => None,
            Self::OneOf(revisions) if revisions.contains(&actual) => Some(actual),
            Self::OneOf(revisions) => Some(revisions.last().copied().unwrap_or(0)),
        }
    }

    /// The error if it does not allow `actual`.
    pub fn conflict(&self, actual: Revision) -> ApiError {
        let expected = self.nearest(actual).unwrap_or(0);
        self.explained(HubError::Refused(Refusal::RevisionConflict { expected, actual }))
    }

    /// An error of what was tried under the condition. Where no tag names a revision, none was expected.
    pub fn explained(&self, error: HubError) -> ApiError {
        match (self, error) {
            (Self::OneOf(named), HubError::Refused(Refusal::RevisionConflict { actual, .. })) if named.is_empty() => {
                let problem =
                    format!("the session is at revision {actual}, and If-Match names none; a weak tag never matches");
                ApiError::new(ErrorCode::RevisionConflict, problem)
            }
            (_, error) => error.into(),
        }
    }
}

/// Reads `If-Match`. Tags are compared strongly, so a weak one never matches.
///
/// # Errors
///
/// If the header is malformed: a change must not be made on a guess.
pub fn if_match(headers: &HeaderMap) -> Result<Expected, ApiError> {
    let tags = tags(headers, &IF_MATCH).map_err(|Malformed| {
        ApiError::bad_request("If-Match must be * or revisions in quotes, such as \"7\" or \"7\", \"8\"")
    })?;
    Ok(match tags {
        None | Some(Tags::Any) => Expected::Any,
        Some(Tags::These(tags)) => {
            Expected::OneOf(tags.iter().filter(|tag| !tag.is_weak).filter_map(Tag::revision).collect())
        }
    })
}

/// Whether the client already has this representation, by `If-None-Match`. Tags are compared weakly.
/// A malformed header is ignored: the answer is then the whole representation.
pub fn is_held(headers: &HeaderMap, etag: &str) -> bool {
    match tags(headers, &IF_NONE_MATCH) {
        Ok(Some(Tags::Any)) => true,
        Ok(Some(Tags::These(tags))) => tags.iter().any(|tag| tag.text == etag.as_bytes()),
        Ok(None) | Err(Malformed) => false,
    }
}

impl Tag<'_> {
    /// Only the text that the server itself writes: `"07"` is not `"7"`.
    fn revision(&self) -> Option<Revision> {
        let digits = std::str::from_utf8(self.text).ok()?.trim_matches('"');
        digits.parse::<Revision>().ok().filter(|revision| revision.to_string() == digits)
    }
}

fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<Tags<'a>>, Malformed> {
    let mut tags = None;
    // Several lines of one header form one list.
    for value in headers.get_all(name) {
        let more = parse(value.as_bytes());
        tags = Some(match (tags, more) {
            (None, Some(more)) => more,
            (Some(Tags::These(mut tags)), Some(Tags::These(more))) => {
                tags.extend(more);
                Tags::These(tags)
            }
            _ => return Err(Malformed),
        });
    }
    Ok(tags)
}

/// `None` if it is malformed.
fn parse(text: &[u8]) -> Option<Tags<'_>> {
    let mut rest = text.trim_ascii();
    if rest == b"*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    loop {
        // Empty elements of a list are ignored (RFC 9110, section 5.6.1).
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
        }
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(Tags::These(tags));
        }
        let (tag, after) = parse_tag(rest)?;
        tags.push(tag);
        rest = after.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
}

/// One tag, and the rest of the list.
fn parse_tag(text: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    let (is_weak, quoted) = text.strip_prefix(b"W/").map_or((false, text), |rest| (true, rest));
    let inside = quoted.strip_prefix(b"\"")?;
    let length = inside.iter().position(|byte| *byte == b'"')?;
    let is_tag_character = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff);
    if !inside[..length].iter().all(is_tag_character) {
        return None;
    }
    let (text, rest) = quoted.split_at(length + 2);
    Some((Tag { is_weak, text }, rest))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let value = |value: &&str| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        values.iter().map(value).collect()
    }

    fn expected(values: &[&str]) -> Option<Expected> {
        if_match(&headers(IF_MATCH, values)).ok()
    }

    fn held(values: &[&str]) -> bool {
        is_held(&headers(IF_NONE_MATCH, values), "\"7\"")
    }

    #[test]
    fn a_change_may_be_made_on_any_of_the_revisions_named() {
        let one_of = |revisions: &[Revision]| Some(Expected::OneOf(revisions.to_vec()));
        assert_eq!(expected(&[]), Some(Expected::Any));
        assert_eq!(expected(&[" * "]), Some(Expected::Any));
        assert_eq!(expected(&["\"7\""]), one_of(&[7]));
        assert_eq!(expected(&["\"1\", \"2\",\"3\""]), one_of(&[1, 2, 3]));
        assert_eq!(expected(&[", \"1\" ,, \"2\" ,"]), one_of(&[1, 2]));
        assert_eq!(expected(&["\"1\"", "\"2\""]), one_of(&[1, 2]), "two lines");
        // Weak tags, and tags that no session has, match nothing; they do not make the header malformed.
        assert_eq!(expected(&["W/\"7\""]), one_of(&[]));
        assert_eq!(expected(&["\"a,b\", \"\", \"07\", \"+7\", \"-1\", \"5\""]), one_of(&[5]));
    }

    #[test]
    fn what_the_client_holds_is_compared_weakly() {
        for values in [&["\"7\""][..], &["W/\"7\""], &["\"6\", \"7\""], &["*"], &["\"1\"", "W/\"7\""], &["\"x\",\"7\""]]
        {
            assert!(held(values), "{values:?}");
        }
        for values in [&[][..], &["\"8\""], &["W/\"8\", \"77\""], &["\"7,\""]] {
            assert!(!held(values), "{values:?}");
        }
    }

    #[test]
    fn a_malformed_condition_is_refused_for_a_change_and_passed_over_for_a_read() {
        for value in [
            "",
            "7",
            "\"7",
            "7\"",
            "*, \"7\"",
            "\"7\", *",
            "**",
            "\"7\" \"8\"",
            "w/\"7\"",
            "W/7",
            "W\"7\"",
            "\"a b\"",
            "\"7\";q=1",
            ",",
            "'7'",
        ] {
            assert_eq!((expected(&[value]), held(&[value])), (None, false), "{value}");
        }
        assert_eq!(expected(&["*", "\"7\""]), None, "two lines");
        assert_eq!(expected(&["*", "*"]), None, "two lines");
    }
}
