//! Server-sent events of a chat completion, and what is in them.

use serde::Deserialize;

use super::error::ChatError;
use super::{Piece, Usage};

/// Bytes of one line of the stream at most.
const LINE_BYTES: usize = 1024 * 1024;
/// Bytes of an answer's text, and of its thinking, at most: what a message may hold.
const TEXT_BYTES: usize = crate::session::limits::CONTENT_BYTES;

/// Takes bytes as they arrive and hands out pieces of the answer.
#[derive(Debug, Default)]
pub(super) struct ChatStream {
    line: Vec<u8>,
    pub model: Option<String>,
    pub usage: Option<Usage>,
    /// A reason to finish was given, or the end was marked.
    pub finished: bool,
    bytes: usize,
}

#[derive(Deserialize)]
struct Event {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<UsageJson>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    /// `message` when the endpoint does not stream.
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct UsageJson {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl ChatStream {
    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// When they are not what a chat completion is made of, or too many.
    pub fn take(&mut self, bytes: &[u8], hear: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<(), ChatError> {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, hear)?;
            } else if self.line.len() >= LINE_BYTES {
                return Err(ChatError::TooLong(LINE_BYTES));
            } else {
                self.line.push(*byte);
            }
        }
        Ok(())
    }

    /// Takes a whole answer that was not streamed.
    ///
    /// # Errors
    ///
    /// As [`ChatStream::take`].
    pub fn take_whole(&mut self, body: &[u8], hear: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<(), ChatError> {
        self.take_event(body, hear)?;
        self.finished = true;
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], hear: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<(), ChatError> {
        // Blank lines, comments and other fields say nothing here.
        let Some(data) = line.strip_prefix(b"data:") else { return Ok(()) };
        match data.trim_ascii() {
            b"[DONE]" => self.finished = true,
            b"" => {}
            event => self.take_event(event, hear)?,
        }
        Ok(())
    }

    fn take_event(&mut self, json: &[u8], hear: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<(), ChatError> {
        // serde_json's own error quotes nothing but names and places.
        let event: Event = serde_json::from_slice(json).map_err(|error| ChatError::Answer(error.to_string()))?;
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(|message| message.as_str()).unwrap_or("an error");
            return Err(ChatError::Answer(message.chars().take(300).collect()));
        }
        self.model = self.model.take().or(event.model);
        if let Some(usage) = event.usage {
            self.usage = Some(Usage { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens });
        }
        for choice in event.choices.into_iter().take(1) {
            self.finished |= choice.finish_reason.is_some();
            let Some(Delta { content, reasoning_content }) = choice.delta else { continue };
            for (text, is_thinking) in [(reasoning_content, true), (content, false)] {
                let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
                // PostgreSQL cannot store the character NUL.
                let text = text.replace('\0', "");
                self.bytes += text.len();
                if self.bytes > TEXT_BYTES {
                    return Err(ChatError::TooLong(TEXT_BYTES));
                }
                hear(if is_thinking { Piece::Thinking(&text) } else { Piece::Text(&text) });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(bytes: &[u8], at: usize) -> (String, String, ChatStream) {
        let (mut text, mut thinking) = (String::new(), String::new());
        let mut stream = ChatStream::default();
        let mut hear = |piece: Piece<'_>| match piece {
            Piece::Text(more) => text.push_str(more),
            Piece::Thinking(more) => thinking.push_str(more),
        };
        let (one, two) = bytes.split_at(at);
        stream.take(one, &mut hear).expect("a stream");
        stream.take(two, &mut hear).expect("a stream");
        (text, thinking, stream)
    }

    #[test]
    fn pieces_come_out_wherever_the_bytes_are_cut() {
        let bytes = concat!(
            ": a comment\r\n\r\nevent: x\n",
            "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
            "data: {\"choices\":[{\"delta\":{\"reasoning\":\"…\"}}]}\n\n",
            "data:{\"choices\":[{\"delta\":{\"content\":\"Grüße\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"!\"},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
        )
        .as_bytes();
        for at in 0..bytes.len() {
            let (text, thinking, stream) = heard(bytes, at);
            assert_eq!((text.as_str(), thinking.as_str(), stream.finished), ("Grüße!", "hm…", true), "cut at {at}");
            assert_eq!(stream.usage, Some(Usage { input_tokens: 3, output_tokens: 2 }));
            assert_eq!(stream.model.as_deref(), Some("m-1"));
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let take = |bytes: &[u8]| ChatStream::default().take(bytes, &mut |_| ());
        assert!(matches!(take(b"data: <html>\n"), Err(ChatError::Answer(_))));
        let error = take(b"data: {\"error\":{\"message\":\"overloaded\"}}\n");
        assert_eq!(error, Err(ChatError::Answer("overloaded".into())));
        assert_eq!(take(&vec![b'x'; LINE_BYTES + 1]), Err(ChatError::TooLong(LINE_BYTES)));
    }
}
