//! Reads an answer from whatever an endpoint sends: lenient in the form, strict in what counts as an answer.
//!
//! Optional members may be wrong or missing. But an answer counts only if the endpoint said that it is complete
//! (a finish reason, `[DONE]`, or one JSON value with a message) and if there is one: an error of status 200, a
//! page, or nothing at all is not an empty answer.

use serde_json::{Map, Value};

use super::calls::Calls;
use super::error::ChatError;
use super::fault::{choices, error_of, fault, whole};
use super::frames::{AnswerFrame, Frames};
use super::json::{self, Joiner};
use super::parts::{reasoning, spoken};
use super::{ModelReply, ModelUsage, Piece, ToolCall};
use crate::endpoint::{self, Secrets, Sieve};
use relive_session::limits;

/// Bytes of an answer's text, its reasoning and its tool calls together: the limit of a message.
const TEXT_BYTES: usize = limits::CONTENT_BYTES;
/// Bytes of everything that is received for it.
const BODY_BYTES: usize = 64 * 1024 * 1024;

pub(crate) type PieceSink<'a> = dyn FnMut(Piece<'_>) + Send + 'a;

/// How the body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// At its end, or where nothing more is needed.
    Closed,
    /// By an error, such as an idle timeout.
    Failed(ChatError),
}

/// Accepts bytes as they arrive and returns pieces of the answer.
#[derive(Debug, Default)]
pub(crate) struct ChatStream {
    frames: Frames,
    answer: Answer,
    bytes: usize,
}

impl ChatStream {
    pub fn new(secrets: &Secrets) -> Self {
        let channel = || Channel { sieve: Sieve::new(secrets.clone()), ..Channel::default() };
        let answer = Answer { secrets: secrets.clone(), text: channel(), thinking: channel(), ..Answer::default() };
        Self { answer, ..Self::default() }
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// If they are not a chat completion, or too many.
    pub fn push(&mut self, bytes: &[u8], sink: &mut PieceSink<'_>) -> Result<(), ChatError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > BODY_BYTES {
            return Err(ChatError::TooLong(BODY_BYTES));
        }
        let answer = &mut self.answer;
        self.frames.push(bytes, &mut |frame| answer.push_frame(frame, sink))
    }

    /// Whether nothing more of the answer can follow.
    pub fn is_done(&self) -> bool {
        self.answer.is_done || (self.answer.is_whole && self.frames.is_plain())
    }

    /// Whether a finish reason was given, so that only the usage and the end may follow; with the size of
    /// the answer by then. Some endpoints send the reason with every piece.
    pub fn finishing(&self) -> Option<usize> {
        self.answer.finish_reason.as_ref().map(|_| self.answer.bytes)
    }

    /// The assembled answer, whose text has been passed on.
    ///
    /// # Errors
    ///
    /// Why it is not a complete answer.
    pub fn finish(mut self, ending: BodyEnd, sink: &mut PieceSink<'_>) -> Result<ModelReply, ChatError> {
        let answer = &mut self.answer;
        if !answer.is_done {
            self.frames.finish(&mut |frame| answer.push_frame(frame, sink))?;
        }
        answer.flush(sink);
        if !(answer.finish_reason.is_some() || answer.is_done || (answer.is_whole && self.frames.is_plain())) {
            return Err(match ending {
                _ if self.frames.is_words() => self.no_answer(),
                BodyEnd::Failed(error) => error,
                // No part of an answer has arrived.
                BodyEnd::Closed if !self.answer.has_choice => self.no_answer(),
                BodyEnd::Closed => ChatError::BrokeOff,
            });
        }
        self.answer.check().map_err(|unsaid| unsaid.unwrap_or_else(|| self.no_answer()))?;
        Ok(self.answer.reply())
    }

    fn no_answer(&self) -> ChatError {
        ChatError::NoAnswer(endpoint::in_body(self.frames.sample(), &self.answer.secrets))
    }
}

/// One of the two texts of an answer.
#[derive(Debug, Default)]
struct Channel {
    joiner: Joiner,
    sieve: Sieve,
    is_there: bool,
}

impl Channel {
    fn push(&mut self, piece: &str) -> String {
        // PostgreSQL cannot store the character NUL.
        let piece = self.joiner.push(piece).replace('\0', "");
        self.is_there |= !piece.is_empty();
        self.sieve.push(&piece)
    }

    fn finish(&mut self) -> String {
        let half = self.joiner.finish();
        self.is_there |= !half.is_empty();
        self.sieve.push(&half) + &self.sieve.finish()
    }
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about what has come")]
struct Answer {
    secrets: Secrets,
    model: Option<String>,
    usage: Option<ModelUsage>,
    finish_reason: Option<String>,
    refusal: String,
    calls: Calls,
    text: Channel,
    thinking: Channel,
    bytes: usize,
    /// Of several choices, the one that is used.
    index: Option<u64>,
    has_choice: bool,
    /// Text arrived as `delta`; a `message` beside it repeats it.
    has_delta: bool,
    /// The text that arrived as `message`, which may grow with every event.
    message: String,
    /// A complete message arrived.
    is_whole: bool,
    /// `[DONE]` arrived.
    is_done: bool,
}

impl Answer {
    fn push_frame(&mut self, frame: AnswerFrame<'_>, sink: &mut PieceSink<'_>) -> Result<(), ChatError> {
        match frame {
            AnswerFrame::Done => self.is_done = true,
            // What follows the end is ignored: whether it is received at all depends on how the bytes come.
            _ if self.is_done => {}
            AnswerFrame::Value(_) if self.is_whole => {}
            AnswerFrame::Failure(data) => {
                let error = json::read(data).unwrap_or_else(|_| Value::String(data.to_owned()));
                return Err(error_of(&error, &self.secrets));
            }
            AnswerFrame::Data(data) | AnswerFrame::Value(data) => match json::read(data) {
                Ok(Value::Object(event)) => self.event(&event, sink)?,
                Ok(Value::Array(events)) => {
                    for event in events.iter().filter_map(Value::as_object) {
                        self.event(event, sink)?;
                    }
                }
                Ok(_) => {}
                Err(_) if !data.starts_with(['{', '[']) => {
                    return Err(ChatError::NoAnswer(endpoint::in_body(data.as_bytes(), &self.secrets)));
                }
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }

    fn event(&mut self, event: &Map<String, Value>, sink: &mut PieceSink<'_>) -> Result<(), ChatError> {
        if let Some(error) = fault(event, &self.secrets) {
            return Err(error);
        }
        let model = event.get("model").and_then(Value::as_str).filter(|model| !model.trim().is_empty());
        if let (None, Some(model)) = (&self.model, model) {
            self.model = Some(endpoint::clean(&self.secrets.hide(model)));
        }
        let choice = choices(event).find(|choice| self.follows(choice));
        let vendor = event.get("x_groq").and_then(|vendor| vendor.get("usage"));
        let usages = [event.get("usage"), choice.and_then(|choice| choice.get("usage")), vendor];
        if let Some(usage) = usages.into_iter().flatten().find_map(usage) {
            self.usage = Some(usage);
        }
        choice.map_or(Ok(()), |choice| self.choice(choice, sink))
    }

    /// Whether a choice is the one that is used: the first that arrived.
    fn follows(&mut self, choice: &Map<String, Value>) -> bool {
        let index = choice.get("index").and_then(whole).unwrap_or_else(|| self.index.unwrap_or_default());
        *self.index.get_or_insert(index) == index
    }

    fn choice(&mut self, choice: &Map<String, Value>, sink: &mut PieceSink<'_>) -> Result<(), ChatError> {
        if let Some(reason) = ["finish_reason", "finishReason"].into_iter().find_map(|name| reason(choice.get(name)?)) {
            self.finish_reason = Some(endpoint::clean(&self.secrets.hide(&reason)).chars().take(64).collect());
        }
        let delta = choice.get("delta").and_then(Value::as_object);
        let message = choice.get("message").and_then(Value::as_object);
        self.has_choice |= delta.is_some() || message.is_some();
        if let Some(delta) = delta {
            let says = self.add_parts(delta, sink)?;
            self.has_delta |= says;
        }
        if let Some(message) = message {
            self.is_whole |= delta.is_none();
            if !self.has_delta {
                self.message(message, sink)?;
            }
        }
        // Completions of the older API.
        if let (None, None, Some(text)) = (delta, message, choice.get("text").and_then(Value::as_str)) {
            self.has_choice = true;
            self.add_text(text, false, sink)?;
        }
        Ok(())
    }

    /// Adds a message, which is complete, or one of several that are pieces or grow.
    fn message(&mut self, message: &Map<String, Value>, sink: &mut PieceSink<'_>) -> Result<(), ChatError> {
        let whole = spoken(message).text;
        match whole.strip_prefix(self.message.as_str()).filter(|_| !self.message.is_empty()) {
            Some(more) => self.add_text(more, false, sink)?,
            None => {
                self.add_parts(message, sink)?;
            }
        }
        if whole.starts_with(&self.message) {
            self.message = whole;
        } else {
            self.message.push_str(&whole);
        }
        Ok(())
    }

    /// Adds the texts of a delta or a message; false if it has none.
    fn add_parts(&mut self, said: &Map<String, Value>, sink: &mut PieceSink<'_>) -> Result<bool, ChatError> {
        let parts = spoken(said);
        // The same reasoning can be in several members.
        let thinking = if parts.thinking.is_empty() { reasoning(said) } else { parts.thinking };
        self.add_text(&thinking, true, sink)?;
        self.add_text(&parts.text, false, sink)?;
        self.refusal.push_str(&parts.refusal);
        let mut bytes = parts.refusal.len();
        let listed = said.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for call in listed.iter().chain(said.get("function_call")).filter_map(Value::as_object) {
            bytes += self.calls.push(call);
        }
        self.count(bytes)?;
        Ok(bytes > 0 || !thinking.is_empty() || !parts.text.is_empty())
    }

    fn add_text(&mut self, text: &str, is_thinking: bool, sink: &mut PieceSink<'_>) -> Result<(), ChatError> {
        if text.is_empty() {
            return Ok(());
        }
        self.count(text.len())?;
        let piece = if is_thinking { self.thinking.push(text) } else { self.text.push(text) };
        emit(&piece, is_thinking, sink);
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), ChatError> {
        self.bytes += bytes;
        if self.bytes > TEXT_BYTES { Err(ChatError::TooLong(TEXT_BYTES)) } else { Ok(()) }
    }

    /// Passes on what was held back.
    fn flush(&mut self, sink: &mut PieceSink<'_>) {
        emit(&self.thinking.finish(), true, sink);
        emit(&self.text.finish(), false, sink);
    }

    /// Whether this counts as an answer. The inner `None` is for one that is empty.
    fn check(&self) -> Result<(), Option<ChatError>> {
        let speaks = self.text.is_there || !self.calls.are_none() || !self.refusal.is_empty();
        let reason = self.finish_reason.as_deref().unwrap_or_default().to_lowercase();
        match reason.as_str() {
            "error" => {
                let words = "it gave an error as the finish reason".to_owned();
                return Err(Some(ChatError::Said { words, by_endpoint: true }));
            }
            _ if speaks => return Ok(()),
            "tool_calls" | "function_call" => return Err(None),
            _ => {}
        }
        if is_filtered(&reason) {
            return Err(Some(ChatError::Filtered));
        }
        let is_there = self.has_choice && (!reason.is_empty() || self.thinking.is_there);
        if is_there { Ok(()) } else { Err(None) }
    }

    fn reply(&mut self) -> ModelReply {
        // NUL goes first, or a secret with one within it would be whole again.
        let storable = |text: String| self.secrets.hide(&Joiner::whole(&text).replace('\0', "")).into_owned();
        let calls = self.calls.finish().into_iter().map(|call| ToolCall {
            id: storable(call.id),
            name: storable(call.name),
            arguments: storable(call.arguments),
        });
        let tool_calls = calls.collect();
        let refusal = Some(storable(std::mem::take(&mut self.refusal))).filter(|refusal| !refusal.is_empty());
        ModelReply {
            model: self.model.take().unwrap_or_default(),
            usage: self.usage,
            finish_reason: self.finish_reason.take(),
            tool_calls,
            refusal,
        }
    }
}

fn emit(piece: &str, is_thinking: bool, sink: &mut PieceSink<'_>) {
    if !piece.is_empty() {
        sink(if is_thinking { Piece::Thinking(piece) } else { Piece::Text(piece) });
    }
}

/// A finish reason; some endpoints send "" or "null" while there is none.
fn reason(value: &Value) -> Option<String> {
    let reason = match value {
        Value::String(reason) => reason.trim(),
        Value::Object(members) => members.get("type").or_else(|| members.get("reason"))?.as_str()?.trim(),
        _ => return None,
    };
    let is_none = ["", "null", "none", "undefined"].iter().any(|none| reason.eq_ignore_ascii_case(none));
    (!is_none).then(|| reason.to_owned())
}

/// Whether the answer was withheld, by the usual names of that reason.
fn is_filtered(reason: &str) -> bool {
    ["content_filter", "content-filter", "contentfilter", "safety", "sensitive", "blocked", "prohibited", "recitation"]
        .iter()
        .any(|name| reason.contains(name))
}

fn usage(usage: &Value) -> Option<ModelUsage> {
    let count = |names: [&str; 2]| {
        let counted = names.into_iter().find_map(|name| whole(usage.get(name)?));
        // An impossible count would make the whole report of the answer be refused.
        counted.filter(|count| *count <= limits::TOKENS)
    };
    let input = count(["prompt_tokens", "input_tokens"]);
    let output = count(["completion_tokens", "output_tokens"]);
    let total = count(["total_tokens", "total"]);
    let rest = |known: Option<u64>| Some(total?.saturating_sub(known?));
    let input_tokens = input.or_else(|| rest(output)).unwrap_or_default();
    let output_tokens = output.or_else(|| rest(input)).unwrap_or_default();
    (input_tokens > 0 || output_tokens > 0).then_some(ModelUsage { input_tokens, output_tokens })
}

#[cfg(test)]
mod tests;
