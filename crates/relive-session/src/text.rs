//! Texts that events add, and that are stored beside the journal: messages and log lines.

use super::{Event, Log, Message, Recorded};

/// A message or a log line.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    Message(Message),
    Log(Log),
}

/// Which texts are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub messages: bool,
    pub logs: bool,
}

impl Texts {
    pub const ALL: Self = Self { messages: true, logs: true };

    #[must_use]
    pub fn any(self) -> bool {
        self.messages || self.logs
    }

    /// Whether the text that the event added, if it added one, is wanted.
    #[must_use]
    pub fn wants(self, event: &Event) -> bool {
        match event {
            Event::MessageAdded(_) => self.messages,
            Event::LogAdded(_) => self.logs,
            _ => false,
        }
    }
}

impl Recorded {
    /// The text that the event added; `None` if it added none, or was read without it.
    #[must_use]
    pub fn text(&self) -> Option<Text> {
        match &self.event {
            Event::MessageAdded(added) => added.message(self.session_id, self.at).map(Text::Message),
            Event::LogAdded(added) => added.log(self.session_id, self.revision, self.at).map(Text::Log),
            _ => None,
        }
    }

    /// Gives the event the text that it added.
    pub fn hold_text(&mut self, text: Text) {
        match (&mut self.event, text) {
            (Event::MessageAdded(added), Text::Message(message)) => {
                (added.content, added.tool_calls) = (Some(message.content), message.tool_calls);
            }
            (Event::LogAdded(added), Text::Log(log)) => added.row = Some(log.into()),
            _ => {}
        }
    }
}
