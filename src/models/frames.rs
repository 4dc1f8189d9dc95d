//! Splits an answer into parts: a stream of server-sent events, one JSON value, several, or none of these. The
//! body decides, not the `Content-Type`, which is often wrong.

use super::error::ChatError;
use super::json::JsonScanner;

/// Bytes of one line of a stream, and of one JSON value, at most.
pub(super) const PART_BYTES: usize = 4 * 1024 * 1024;
/// Bytes at the beginning that are kept for an error's text.
const SAMPLE_BYTES: usize = 16 * 1024;
/// Names of the fields of an event stream.
const FIELDS: [&str; 4] = ["data:", "event:", "id:", "retry:"];

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerFrame<'a> {
    /// A JSON value of an event, or a text in its place.
    Data(&'a str),
    /// A JSON value of a body that consists of such.
    Value(&'a str),
    /// Of an event of the type `error`.
    Failure(&'a str),
    /// `[DONE]`.
    Done,
}

type Handled = Result<(), ChatError>;
type OnFrame<'a> = dyn FnMut(AnswerFrame<'_>) -> Handled + 'a;

#[derive(Debug, Default)]
pub(super) struct Frames {
    format: Format,
    /// The beginning of the body.
    sample: Vec<u8>,
    /// A line or a value that has not ended.
    part: Vec<u8>,
    nesting: JsonScanner,
    /// A line ended with a carriage return; a line feed after it belongs to the same line end.
    after_return: bool,
    /// `data` lines of the event so far that are no complete value yet.
    data: Vec<u8>,
    is_failure: bool,
    /// What was returned of the event already.
    emitted: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Unknown,
    Events,
    Values,
    /// Not an answer: a page, or a plain text.
    Words,
}

impl Frames {
    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// What `on_frame` returns, and [`ChatError::TooLong`].
    pub fn push(&mut self, bytes: &[u8], on_frame: &mut OnFrame<'_>) -> Handled {
        let room = SAMPLE_BYTES.saturating_sub(self.sample.len());
        self.sample.extend_from_slice(&bytes[..bytes.len().min(room)]);
        for byte in bytes {
            match self.format {
                Format::Unknown => self.begin(*byte, on_frame)?,
                Format::Events => self.event_byte(*byte, on_frame)?,
                Format::Values => self.value_byte(*byte, on_frame)?,
                Format::Words => return Ok(()),
            }
        }
        Ok(())
    }

    /// Handles a last line without a line end. Half a value is left out: whether the answer is complete
    /// without it is decided elsewhere.
    ///
    /// # Errors
    ///
    /// As [`Frames::push`].
    pub fn finish(&mut self, on_frame: &mut OnFrame<'_>) -> Handled {
        if self.format != Format::Events {
            return Ok(());
        }
        if !self.part.is_empty() {
            self.end_line(on_frame)?;
        }
        self.data.clear();
        Ok(())
    }

    /// Whether the body is plain text and not an answer.
    pub fn is_words(&self) -> bool {
        self.format == Format::Words
    }

    /// The beginning of the body.
    pub fn sample(&self) -> &[u8] {
        &self.sample
    }

    /// Whether the body consists of JSON values rather than of events.
    pub fn is_plain(&self) -> bool {
        self.format == Format::Values
    }

    fn begin(&mut self, byte: u8, on_frame: &mut OnFrame<'_>) -> Handled {
        // Blanks and a byte order mark decide nothing yet.
        if self.part.is_empty() && (byte.is_ascii_whitespace() || [0xEF, 0xBB, 0xBF].contains(&byte)) {
            return Ok(());
        }
        if self.part.is_empty() && matches!(byte, b'{' | b'[' | 0x1E) {
            self.format = Format::Values;
            return self.value_byte(byte, on_frame);
        }
        self.part.push(byte);
        let part = self.part.to_ascii_lowercase();
        let is_field = part[0] == b':' || FIELDS.iter().any(|field| part == field.as_bytes());
        if is_field {
            self.format = Format::Events;
        } else if !FIELDS.iter().any(|field| field.as_bytes().starts_with(&part)) {
            self.format = Format::Words;
        }
        Ok(())
    }

    fn value_byte(&mut self, byte: u8, on_frame: &mut OnFrame<'_>) -> Handled {
        // Between values: the brackets and commas of a list of them, line ends, record separators.
        if self.part.is_empty() && byte != b'{' {
            return Ok(());
        }
        self.push_byte(byte)?;
        if self.nesting.accept(byte) {
            let part = std::mem::take(&mut self.part);
            return on_frame(AnswerFrame::Value(&String::from_utf8_lossy(&part)));
        }
        Ok(())
    }

    fn event_byte(&mut self, byte: u8, on_frame: &mut OnFrame<'_>) -> Handled {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match byte {
            b'\n' if after_return => Ok(()),
            b'\n' | b'\r' => self.end_line(on_frame),
            _ => self.push_byte(byte),
        }
    }

    fn push_byte(&mut self, byte: u8) -> Handled {
        if self.part.len() + self.data.len() >= PART_BYTES {
            return Err(ChatError::TooLong(PART_BYTES));
        }
        self.part.push(byte);
        Ok(())
    }

    fn end_line(&mut self, on_frame: &mut OnFrame<'_>) -> Handled {
        let line = std::mem::take(&mut self.part);
        let line = line.as_slice();
        if line.is_empty() {
            return self.end_event(on_frame);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
        let field = line[..colon].trim_ascii().to_ascii_lowercase();
        match field.as_slice() {
            b"data" => self.data_line(value, on_frame),
            b"event" => {
                self.is_failure = value.eq_ignore_ascii_case(b"error");
                let emitted = std::mem::take(&mut self.emitted);
                if self.is_failure && !emitted.is_empty() {
                    return on_frame(AnswerFrame::Failure(&String::from_utf8_lossy(&emitted)));
                }
                Ok(())
            }
            // JSON that is no field: some write their errors so, in the middle of a stream.
            _ if line.starts_with(b"{") => self.data_line(line, on_frame),
            _ => Ok(()),
        }
    }

    /// A value is handed out as soon as it is whole: not everybody ends events with a blank line.
    fn data_line(&mut self, value: &[u8], on_frame: &mut OnFrame<'_>) -> Handled {
        if self.data.is_empty() {
            if value.is_empty() {
                return Ok(());
            }
            if value.eq_ignore_ascii_case(b"[DONE]") {
                return on_frame(AnswerFrame::Done);
            }
            self.nesting = JsonScanner::default();
        } else {
            self.data.push(b'\n');
        }
        let is_value = !self.data.is_empty() || matches!(value[0], b'{' | b'[');
        let mut is_whole = false;
        for byte in value {
            is_whole = self.nesting.accept(*byte);
        }
        self.data.extend_from_slice(value);
        if is_whole || !is_value { self.emit(on_frame) } else { Ok(()) }
    }

    fn end_event(&mut self, on_frame: &mut OnFrame<'_>) -> Handled {
        let emitted = if self.data.is_empty() { Ok(()) } else { self.emit(on_frame) };
        self.is_failure = false;
        self.emitted.clear();
        emitted
    }

    fn emit(&mut self, on_frame: &mut OnFrame<'_>) -> Handled {
        self.emitted = std::mem::take(&mut self.data);
        let data = String::from_utf8_lossy(&self.emitted);
        on_frame(if self.is_failure { AnswerFrame::Failure(&data) } else { AnswerFrame::Data(&data) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(body: &[u8], at: usize) -> Vec<String> {
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        let mut on_frame = |frame: AnswerFrame<'_>| {
            seen.push(match frame {
                AnswerFrame::Data(data) | AnswerFrame::Value(data) => data.replace('\n', "~"),
                AnswerFrame::Failure(data) => format!("! {data}"),
                AnswerFrame::Done => "done".to_owned(),
            });
            Ok(())
        };
        let (one, two) = body.split_at(at);
        frames.push(one, &mut on_frame).expect("frames");
        frames.push(two, &mut on_frame).expect("frames");
        frames.finish(&mut on_frame).expect("frames");
        seen
    }

    #[test]
    fn parts_are_found_whatever_the_form_and_wherever_the_bytes_are_cut() {
        for (body, expected) in [
            ("data: {\"a\":1}\n\ndata:{\"b\":2}\r\n\r\ndata: [DONE]\r\r", &["{\"a\":1}", "{\"b\":2}", "done"][..]),
            ("\u{feff}\n: hello\n\nid: 7\nretry: 3\nDATA: {\"ä\":1}", &["{\"ä\":1}"]),
            ("data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]", &["{\"a\":1}", "{\"b\":2}", "done"]),
            ("data: {\"a\":\ndata: \"}{\"}\n\n", &["{\"a\":~\"}{\"}"]),
            ("event: error\ndata: {\"a\":1}\n\ndata: {}\n\n", &["! {\"a\":1}", "{}"]),
            ("data: {\"a\":1}\nevent: error\n\n", &["{\"a\":1}", "! {\"a\":1}"]),
            ("data: null\n\ndata: oops\ndata: {\"cut\"\n\n", &["null", "oops", "{\"cut\""]),
            ("data: {\"a\":1}\n{\"error\":2}\n", &["{\"a\":1}", "{\"error\":2}"]),
            ("data: {\"a\":1}\n\ndata: {\"half", &["{\"a\":1}"]),
            (" {\"a\":[{}]}", &["{\"a\":[{}]}"]),
            ("[{\"a\":\"\\\"}\"}\n,\r\n{\"b\":2}]", &["{\"a\":\"\\\"}\"}", "{\"b\":2}"]),
            ("{\"a\":1}\n{\"b\":2}\n{\"half", &["{\"a\":1}", "{\"b\":2}"]),
            ("<html>{\"a\":1}", &[]),
            ("Internal error", &[]),
            ("", &[]),
        ] {
            for at in 0..=body.len() {
                assert_eq!(frames(body.as_bytes(), at), expected, "{body:?} cut at {at}");
            }
        }
    }

    #[test]
    fn no_part_is_longer_than_its_bound() {
        for begin in ["data: {\"", "{\"", ": "] {
            let mut body = begin.as_bytes().to_vec();
            body.resize(PART_BYTES + 100, b'x');
            let taken = Frames::default().push(&body, &mut |_| Ok(()));
            assert_eq!(taken, Err(ChatError::TooLong(PART_BYTES)), "{begin}");
        }
    }
}
