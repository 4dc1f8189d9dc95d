//! Lenient parsing of endpoints' JSON: lone surrogates, `NaN`, raw control characters in texts.

use serde_json::Value;

use super::error::ChatError;

/// A lone surrogate is represented by one of the last 2,048 code points, which are unassigned, until
/// its other half arrives: see [`Joiner`].
const HALVES: u32 = 0x10_F800;
const FIRST_HALF: u32 = 0xD800;
const HALF_COUNT: u32 = 0x800;

/// Parses a value, leniently.
///
/// # Errors
///
/// [`ChatError::Answer`] if it is not JSON at all.
pub(super) fn read(text: &str) -> Result<Value, ChatError> {
    serde_json::from_str(text).or_else(|error| {
        // serde_json's own error quotes nothing but names and places.
        let wrong = || ChatError::Answer(error.to_string());
        serde_json::from_str(&mended(text).ok_or_else(wrong)?).map_err(|_| wrong())
    })
}

/// The text with invalid JSON corrected; `None` if there is nothing to correct.
fn mended(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut in_text, mut changed) = (text, false, false);
    while let Some(letter) = rest.chars().next() {
        let (taken, instead) = if in_text { inside(rest, letter) } else { outside(rest, letter) };
        if letter == '"' {
            in_text = !in_text;
        }
        match instead {
            Some(instead) => {
                changed = true;
                mended.push_str(&instead);
            }
            None => mended.push_str(&rest[..taken]),
        }
        rest = &rest[taken..];
    }
    changed.then_some(mended)
}

/// The length of a chunk of a text that is examined at once, and its replacement.
fn inside(rest: &str, letter: char) -> (usize, Option<String>) {
    if letter.is_ascii_control() {
        return (letter.len_utf8(), Some(format!("\\u{:04x}", u32::from(letter))));
    }
    if letter != '\\' {
        return (letter.len_utf8(), None);
    }
    let Some(first) = escaped_half(rest) else {
        let escape = rest.chars().nth(1).map_or(0, char::len_utf8);
        return (1 + escape, None);
    };
    match rest.get(6..).and_then(escaped_half) {
        Some(second) if is_high(first) && !is_high(second) => (12, None),
        _ => (6, Some(marked(first).map(String::from).unwrap_or_default())),
    }
}

fn outside(rest: &str, letter: char) -> (usize, Option<String>) {
    for word in ["-Infinity", "Infinity", "NaN"] {
        if rest.starts_with(word) {
            return (word.len(), Some("null".to_owned()));
        }
    }
    if letter.is_ascii_digit() || letter == '-' {
        let number = rest.find(|next: char| !matches!(next, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let number = &rest[..number.unwrap_or(rest.len())];
        let is_too_large = number.parse().is_ok_and(f64::is_infinite);
        return (number.len(), is_too_large.then(|| "null".to_owned()));
    }
    (letter.len_utf8(), None)
}

/// The surrogate of an escape such as `\ud83d`.
fn escaped_half(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let half = u32::from_str_radix(digits, 16).ok()?;
    (FIRST_HALF..FIRST_HALF + HALF_COUNT).contains(&half).then_some(half)
}

fn is_high(half: u32) -> bool {
    half < FIRST_HALF + HALF_COUNT / 2
}

fn marked(half: u32) -> Option<char> {
    char::from_u32(HALVES + (half - FIRST_HALF))
}

fn half_of(letter: char) -> Option<u32> {
    u32::from(letter).checked_sub(HALVES).map(|half| half + FIRST_HALF)
}

/// Joins surrogates across the pieces of a text; one without its other half becomes U+FFFD.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    high: Option<u32>,
}

impl Joiner {
    pub fn push(&mut self, piece: &str) -> String {
        if self.high.is_none() && !piece.chars().any(|letter| half_of(letter).is_some()) {
            return piece.to_owned();
        }
        let mut joined = String::with_capacity(piece.len() + 4);
        for letter in piece.chars() {
            let half = half_of(letter);
            let low = half.filter(|half| !is_high(*half));
            if let Some((high, low)) = self.high.zip(low) {
                self.high = None;
                let code = 0x1_0000 + ((high - FIRST_HALF) << 10) + (low - FIRST_HALF - HALF_COUNT / 2);
                joined.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                continue;
            }
            joined.push_str(&self.finish());
            match half {
                Some(half) if is_high(half) => self.high = Some(half),
                Some(_) => joined.push(char::REPLACEMENT_CHARACTER),
                None => joined.push(letter),
            }
        }
        joined
    }

    /// A text in one piece.
    pub fn whole(text: &str) -> String {
        let mut joiner = Self::default();
        joiner.push(text) + &joiner.finish()
    }

    /// The replacement of a surrogate that was left over.
    pub fn finish(&mut self) -> String {
        self.high.take().map(|_| char::REPLACEMENT_CHARACTER.to_string()).unwrap_or_default()
    }
}

/// Scans JSON byte by byte, as far as needed to find the end of a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonScanner {
    depth: u32,
    in_text: bool,
    escaped: bool,
}

impl JsonScanner {
    /// Scans the next byte; true if it ends a top-level array or object.
    pub fn accept(&mut self, byte: u8) -> bool {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                let was = self.depth;
                self.depth = was.saturating_sub(1);
                return was == 1;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn joined(pieces: &[&str]) -> String {
        let mut joiner = Joiner::default();
        let mut text: String = pieces
            .iter()
            .map(|piece| {
                let value = read(&format!("{{\"a\":\"{piece}\"}}")).expect("JSON");
                joiner.push(value["a"].as_str().expect("a text"))
            })
            .collect();
        text += &joiner.finish();
        text
    }

    #[test]
    fn halves_of_a_character_meet_over_pieces_and_are_replaced_alone() {
        assert_eq!(joined(&[r"Hel \ud83d", r"\ude00 lo"]), "Hel 😀 lo");
        assert_eq!(joined(&[r"\ud83d\ude00"]), "😀");
        assert_eq!(joined(&[r"a\ud83d", "", r"\uDE00"]), "a😀");
        assert_eq!(joined(&[r"a\ud83d", "b"]), "a\u{fffd}b");
        assert_eq!(joined(&[r"a\ude00b"]), "a\u{fffd}b");
        assert_eq!(joined(&[r"a\ud83d\ud83d\ude00"]), "a\u{fffd}😀");
        assert_eq!(joined(&[r"a\ud83d"]), "a\u{fffd}");
        assert_eq!(joined(&[r"\\ud83d ok"]), r"\ud83d ok");
    }

    #[test]
    fn what_json_does_not_allow_and_endpoints_write_is_read() {
        for (text, expected) in [
            (r#"{"p":NaN,"q":[-Infinity,Infinity],"t":"NaN"}"#, json!({"p": null, "q": [null, null], "t": "NaN"})),
            ("{\"t\":\"a\nb\tc\"}", json!({"t": "a\nb\tc"})),
            (r#"{"n":1e999,"m":-1.5e3}"#, json!({"n": null, "m": -1500.0})),
        ] {
            assert_eq!(read(text).expect(text), expected);
        }
        for text in ["", "<html>", "{", "{\"a\":}", "{\"a\" \"b\"}"] {
            assert!(matches!(read(text), Err(ChatError::Answer(_))), "{text}");
        }
    }
}
