//! Statuses, durations and amounts as short texts and symbols.

pub(super) use super::super::lines::clean;
use relive_client::{NodeStatus, SessionStatus, Timestamp};

/// A symbol for each status, so that colour is not the only distinction.
pub(super) fn node_sign(status: NodeStatus) -> &'static str {
    match status {
        NodeStatus::Pending => "○",
        NodeStatus::Running => "▶",
        NodeStatus::Completed => "✓",
        NodeStatus::Failed => "✗",
        NodeStatus::Skipped => "–",
        NodeStatus::Suspended => "◆",
    }
}

pub(super) fn session_sign(status: SessionStatus) -> &'static str {
    match status {
        SessionStatus::Pending => "○",
        SessionStatus::Running => "▶",
        SessionStatus::Paused => "‖",
        SessionStatus::Completed => "✓",
        SessionStatus::Failed => "✗",
        SessionStatus::Cancelled => "⊘",
    }
}

/// `850 ms`, `12.3 s`, `4:05`, `3:04:05`.
pub(super) fn duration(from: Timestamp, to: Timestamp) -> String {
    let millis = to.as_millis().saturating_sub(from.as_millis()).max(0);
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis % 1_000 / 100),
        60..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
    }
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As [`clean`], line by line.
pub(super) fn clean_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(|line| clean(&line.replace('\t', "    ")))
}

/// Wraps a line to a width; wide characters count twice.
pub(super) fn wrapped(line: &str, width: usize) -> Vec<String> {
    textwrap::wrap(line, width).into_iter().map(std::borrow::Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_amounts_are_short() {
        let at = |millis| Timestamp::from_millis(millis).expect("a time");
        let read = |millis| duration(at(0), at(millis));
        assert_eq!([read(850), read(12_340), read(245_000), read(11_045_000)], ["850 ms", "12.3 s", "4:05", "3:04:05"]);
        assert_eq!(duration(at(5), at(0)), "0 ms", "clocks differ");
        assert_eq!([grouped(0), grouped(999), grouped(1_000), grouped(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\u{7}"), "a [2Jb ");
        assert_eq!(clean("a\u{202e}b\u{2028}c\u{2067}"), "a b c ", "nor what order it shows things in");
        assert_eq!(clean_lines("a\u{9b}2J\n\tb").collect::<Vec<_>>(), ["a 2J", "    b"]);
    }
}
