//! A command's output: progress lines are extracted, the end is kept, the beginning is counted.

use std::collections::VecDeque;

use relive_session::Progress;

/// Bytes of output that are kept: the last ones.
pub const KEPT_BYTES: usize = 64 * 1024;
/// A longer line is split into pieces of this size, so that output without line ends stays bounded.
const LINE_BYTES: usize = 8 * 1024;
/// A line that begins with this reports progress and is not part of the output.
const PROGRESS: &str = "::progress ";

/// Takes bytes as they arrive; keeps text fit for JSON and for PostgreSQL.
///
/// Bytes that are not UTF-8 become U+FFFD, and the character NUL, which PostgreSQL cannot store,
/// is left out.
#[derive(Debug, Default)]
pub struct Output {
    kept: VecDeque<u8>,
    cut: u64,
    line: Vec<u8>,
    /// Whether `line` continues one that was split.
    continued: bool,
    last_line: String,
    /// What was added since it was last taken.
    fresh: Vec<String>,
}

impl Output {
    /// Adds bytes and returns the last progress reported in them.
    pub fn push(&mut self, mut bytes: &[u8]) -> Option<Progress> {
        let mut progress = None;
        while !bytes.is_empty() {
            let room = LINE_BYTES - self.line.len();
            let end = bytes.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
            let (piece, rest) = bytes.split_at(end.unwrap_or(room.min(bytes.len())));
            self.line.extend_from_slice(piece);
            bytes = rest;
            if end.is_some() {
                progress = self.end_line().or(progress);
                self.continued = false;
            } else if self.line.len() >= LINE_BYTES {
                self.keep_piece();
            }
        }
        progress
    }

    /// Adds a last line without a line end.
    pub fn finish(&mut self) -> Option<Progress> {
        let progress = if self.line.is_empty() { None } else { self.end_line() };
        self.continued = false;
        progress
    }

    /// The kept text, and how many bytes of text before it were cut.
    #[must_use]
    pub fn text(&mut self) -> (String, u64) {
        let text = String::from_utf8_lossy(self.kept.make_contiguous()).into_owned();
        (text, self.cut)
    }

    /// The lines, or pieces of long ones, since this was last asked; without those that are blank.
    pub fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh)
    }

    /// The last line that is not blank.
    #[must_use]
    pub fn last_line(&self) -> &str {
        &self.last_line
    }

    fn end_line(&mut self) -> Option<Progress> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        if let Some(progress) = parse_progress(&text).filter(|_| !self.continued) {
            return Some(progress);
        }
        self.keep(&text);
        None
    }

    /// Removes a piece of an overlong line, up to the last whole character.
    fn keep_piece(&mut self) {
        let line = std::mem::take(&mut self.line);
        let whole = match std::str::from_utf8(&line) {
            // `error_len` is absent when the text merely ends within a character.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => line.len(),
        };
        self.keep(&String::from_utf8_lossy(&line[..whole]));
        self.line.extend_from_slice(&line[whole..]);
        self.continued = true;
    }

    fn keep(&mut self, text: &str) {
        let text = text.replace('\0', "");
        if !text.trim().is_empty() {
            self.last_line = text.trim().chars().take(500).collect();
            self.fresh.push(text.trim_end().to_owned());
        }
        self.kept.extend(text.as_bytes());
        let mut excess = self.kept.len().saturating_sub(KEPT_BYTES);
        // Never begin within a character.
        while excess > 0 && self.kept.get(excess).is_some_and(|byte| byte & 0xC0 == 0x80) {
            excess += 1;
        }
        self.kept.drain(..excess);
        self.cut += excess as u64;
    }
}

fn parse_progress(line: &str) -> Option<Progress> {
    line.strip_prefix(PROGRESS).and_then(|number| number.trim().parse().ok()).and_then(Progress::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(chunks: &[&[u8]]) -> (String, u64) {
        let mut output = Output::default();
        for chunk in chunks {
            output.push(chunk);
        }
        output.finish();
        output.text()
    }

    #[test]
    fn progress_lines_are_taken_out_wherever_the_chunks_break() {
        let mut output = Output::default();
        assert_eq!(output.push(b"one\n::prog"), None);
        assert_eq!(output.push(b"ress 0.25\n::progress 0.5\ntwo"), Progress::new(0.5));
        output.finish();
        assert_eq!(output.text(), ("one\ntwo".to_owned(), 0));
        assert_eq!(output.last_line(), "two");
    }

    #[test]
    fn what_only_looks_like_progress_is_output() {
        let lines = b"::progress 2\n::progress x\n ::progress 0.5\n";
        assert_eq!(all(&[lines]), (String::from_utf8_lossy(lines).into_owned(), 0));
    }

    #[test]
    fn invalid_bytes_are_replaced_and_nul_is_left_out() {
        assert_eq!(all(&[b"a\xffb\0c\n"]).0, "a\u{fffd}bc\n");
    }

    #[test]
    fn the_end_is_kept_and_the_cut_begins_at_a_character() {
        let (text, cut) = all(&["ü".repeat(KEPT_BYTES).as_bytes(), b"x"]);
        assert_eq!((text.len(), cut), (KEPT_BYTES - 1, KEPT_BYTES as u64 + 2));
        assert!(text.ends_with("üx") && !text.contains('\u{fffd}'));
    }

    proptest! {
        #[test]
        fn the_chunks_do_not_matter(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300), times in 1..80_usize, at in any::<prop::sample::Index>()
        ) {
            let text = text.repeat(times);
            let (one, two) = text.split_at(at.index(text.len() + 1));
            prop_assert_eq!(all(&[&text]), all(&[one, two]));
        }
    }
}
