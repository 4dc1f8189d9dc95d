//! W3C Trace Context: which trace a request belongs to, as its headers `traceparent` and `tracestate` say.
//!
//! Level 1 (<https://www.w3.org/TR/trace-context/>), and the flag `random` of level 2.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;

/// Characters of a `traceparent` of version 00, and of the part that later versions share with it.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;
/// The flags that are passed on; the others are reserved.
const KNOWN_FLAGS: u8 = 3;
/// Entries of a `tracestate`.
const MEMBERS: usize = 32;
/// Characters of a `tracestate` that are kept, which is as many as have to be.
const STATE_CHARACTERS: usize = 512;
/// An entry with more characters is the first to be left out.
const LONG_MEMBER: usize = 128;

/// The span that a request was made in: `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TS)]
#[ts(as = "String", export_to = "session.ts")]
pub struct TraceParent {
    pub trace_id: NonZeroU128,
    pub span_id: NonZeroU64,
    flags: u8,
}

/// A text that is not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of W3C Trace Context")]
pub struct NotATraceParent;

impl TraceParent {
    #[must_use]
    pub fn new(trace_id: NonZeroU128, span_id: NonZeroU64, is_sampled: bool) -> Self {
        Self { trace_id, span_id, flags: u8::from(is_sampled) * SAMPLED }
    }

    /// Whether who made the request records the trace.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn with_span(self, span_id: NonZeroU64) -> Self {
        Self { span_id, ..self }
    }

    /// The same span, recorded or not.
    #[must_use]
    pub fn sampled(self, is_sampled: bool) -> Self {
        Self { flags: (self.flags & !SAMPLED) | (u8::from(is_sampled) * SAMPLED), ..self }
    }
}

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let bytes = text.as_bytes();
        let (known, rest) = bytes.split_at_checked(LENGTH).ok_or(NotATraceParent)?;
        let version = hexadecimal(&known[..2]).ok_or(NotATraceParent)?;
        // A later version may append members.
        let is_whole = if version == 0 { rest.is_empty() } else { matches!(rest.first(), None | Some(b'-')) };
        let has_dashes = [2, 35, 52].iter().all(|place| known[*place] == b'-');
        if version == 0xff || !is_whole || !has_dashes {
            return Err(NotATraceParent);
        }
        let number = |from, to| hexadecimal(&known[from..to]).ok_or(NotATraceParent);
        let span_id = u64::try_from(number(36, 52)?).map_err(|_| NotATraceParent)?;
        let flags = u8::try_from(number(53, 55)?).map_err(|_| NotATraceParent)?;
        Ok(Self {
            trace_id: NonZeroU128::new(number(3, 35)?).ok_or(NotATraceParent)?,
            span_id: NonZeroU64::new(span_id).ok_or(NotATraceParent)?,
            flags: flags & KNOWN_FLAGS,
        })
    }
}

/// The value of lower-case hexadecimal digits, at most 32.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// Of version 00, whatever version it was read from.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// What systems for tracing add to a `traceparent`: `tracestate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(transparent)]
#[ts(as = "String", export_to = "session.ts")]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// `None` for a text that has to be ignored, or has no entry. Of more than 512 characters, whole entries are
    /// left out: first those of more than 128, then from the end on.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let members: Vec<&str> = text
            .split(',')
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
            .collect();
        if members.len() > MEMBERS {
            return None;
        }
        let mut keys = Vec::with_capacity(members.len());
        for member in &members {
            let (key, value) = member.split_once('=')?;
            if !is_key(key) || !is_value(value) || keys.contains(&key) {
                return None;
            }
            keys.push(key);
        }
        let kept = shortened(members);
        (!kept.is_empty()).then(|| Self(kept.join(",").into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for TraceState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a tracestate of W3C Trace Context"))
    }
}

fn shortened(mut members: Vec<&str>) -> Vec<&str> {
    let is_long = |members: &[&str]| {
        let characters: usize = members.iter().map(|member| member.len() + 1).sum();
        characters.saturating_sub(1) > STATE_CHARACTERS
    };
    if is_long(&members) {
        members.retain(|member| member.len() <= LONG_MEMBER);
    }
    while is_long(&members) {
        members.pop();
    }
    members
}

/// `vendor`, or `tenant@vendor`.
fn is_key(key: &str) -> bool {
    let are_allowed =
        |part: &str| part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'));
    let begins = |part: &str, digits: bool| {
        part.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || (digits && b.is_ascii_digit()))
    };
    match key.split_once('@') {
        None => key.len() <= 256 && begins(key, true) && are_allowed(key),
        Some((tenant, system)) => {
            tenant.len() <= 241
                && system.len() <= 14
                && begins(tenant, true)
                && begins(system, false)
                && are_allowed(tenant)
                && are_allowed(system)
        }
    }
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len()) && value.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b',' | b'='))
}

/// The trace that a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub parent: TraceParent,
    pub state: Option<TraceState>,
}

impl TraceContext {
    /// `None`: there is none, or it has to be ignored since it is malformed. `state` counts only with a `traceparent`.
    #[must_use]
    pub fn parse(traceparent: &str, state: Option<&str>) -> Option<Self> {
        let parent = traceparent.parse().ok()?;
        Some(Self { parent, state: state.and_then(TraceState::parse) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn read(text: &str) -> Option<String> {
        text.parse::<TraceParent>().ok().map(|parent| parent.to_string())
    }

    #[test]
    fn a_traceparent_comes_back_as_it_was() {
        for flags in ["00", "01", "02", "03"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            assert_eq!(read(&text).as_deref(), Some(text.as_str()));
            let parent: TraceParent = text.parse().expect("a traceparent");
            assert_eq!(parent.is_sampled(), flags == "01" || flags == "03");
            assert!(parent.sampled(true).is_sampled() && !parent.sampled(false).is_sampled());
        }
        // Reserved flags are not passed on, and later versions are read as far as they are known.
        assert_eq!(read(&format!("00-{TRACE}-{SPAN}-ff")), Some(format!("00-{TRACE}-{SPAN}-03")));
        assert_eq!(read(&format!("cc-{TRACE}-{SPAN}-01")), Some(format!("00-{TRACE}-{SPAN}-01")));
        assert_eq!(read(&format!("cc-{TRACE}-{SPAN}-01-what-comes")), Some(format!("00-{TRACE}-{SPAN}-01")));
    }

    #[test]
    fn malformed_ones_are_refused() {
        for text in [
            String::new(),
            "00".to_owned(),
            "x".repeat(10_000),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("cc-{TRACE}-{SPAN}-011"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}0-{}-01", &SPAN[1..]),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{}é-{SPAN}-01", &TRACE[2..]),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }

    #[test]
    fn a_tracestate_is_kept_whole_or_ignored() {
        let of = |text: &str| TraceState::parse(text).map(|state| state.as_str().to_owned());
        for (text, kept) in [
            ("congo=t61rcWkgMzE", Some("congo=t61rcWkgMzE")),
            ("rojo=00f067aa0ba902b7 ,\tcongo=x y,,", Some("rojo=00f067aa0ba902b7,congo=x y")),
            ("0a@sys=1", Some("0a@sys=1")),
            ("", None),
            (",,", None),
            ("a", None),
            ("a=", None),
            ("A=1", None),
            ("a=1,a=2", None),
            ("a=1=2", None),
            ("a@0sys=1", None),
            ("a=\u{7f}", None),
            ("a=é", None),
        ] {
            assert_eq!(of(text).as_deref(), kept, "{text:?}");
        }
        let many = |number: usize| (0..number).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(of(&many(32)).is_some() && of(&many(33)).is_none());
        // The long entry goes before those that come after it.
        let long = format!("a=1,long={},b={}", "x".repeat(250), "y".repeat(100));
        assert_eq!(of(&long), Some(long.clone()));
        let longer = format!("{long},c={0},d={0}", "z".repeat(100));
        assert_eq!(of(&longer), Some(format!("a=1,b={0},c={1},d={1}", "y".repeat(100), "z".repeat(100))));
        let most = (0..6).map(|n| format!("k{n}={}", "v".repeat(100))).collect::<Vec<_>>().join(",");
        assert_eq!(of(&most).map(|kept| kept.split(',').count()), Some(4));
    }

    #[test]
    fn a_state_alone_is_nothing() {
        assert_eq!(TraceContext::parse("nonsense", Some("a=1")), None);
        let text = format!("00-{TRACE}-{SPAN}-01");
        let context = TraceContext::parse(&text, Some("A=1")).expect("a context");
        assert_eq!((context.parent.to_string(), context.state), (text, None));
    }
}
