//! Commands without an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::{ClientError, Options};
use relive_backoff::Backoff;
use relive_protocol::{ClientFrame, CommandFrame, CommandReceipt};
use relive_session::{Command, SessionId};

/// Bytes of the largest command frame. A server closes the connection at a frame that is too large,
/// which would affect all other commands; so this is checked before.
const LARGEST_FRAME: usize = 1024 * 1024;

pub(super) type Reply = oneshot::Sender<Result<CommandReceipt, ClientError>>;

/// Commands, before they are sent.
pub(super) struct PendingAnswer {
    pub session_id: SessionId,
    pub commands: Vec<Command>,
    pub lease_seconds: Option<u32>,
}

/// One command, or one array of them, kept as the text that is sent: a repetition must be identical,
/// above all in its `commandId`.
struct Pending {
    text: String,
    reply: Reply,
    backoff: Backoff,
    /// When to resend it after a refusal that may pass.
    due: Option<Instant>,
}

/// In the order they were first sent.
pub(super) struct InFlight {
    pending: BTreeMap<u64, Pending>,
    next: u64,
    most: usize,
    backoff: Backoff,
}

impl InFlight {
    pub(super) fn new(options: &Options) -> Self {
        let backoff = Backoff::with_full_jitter(options.backoff_first, options.backoff_most);
        Self { pending: BTreeMap::new(), next: 1, most: options.in_flight, backoff }
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < self.most
    }

    /// Adds a command and returns the text to send.
    pub(super) fn add(&mut self, asked: PendingAnswer, reply: Reply) -> Option<String> {
        let PendingAnswer { session_id, commands, lease_seconds } = asked;
        let id = self.next;
        let frame = ClientFrame::Command(Box::new(CommandFrame {
            id: id.to_string(),
            session_id,
            command: None,
            commands: Some(commands),
            command_id: Some(Uuid::now_v7().to_string()),
            expected_revision: None,
            lease_seconds,
            traceparent: None,
            tracestate: None,
        }));
        let refusal = match serde_json::to_string(&frame) {
            Ok(text) if text.len() <= LARGEST_FRAME => {
                let pending = Pending { text: text.clone(), reply, backoff: self.backoff, due: None };
                self.pending.insert(id, pending);
                self.next += 1;
                return Some(text);
            }
            Ok(text) => ClientError::TooLarge { bytes: text.len(), limit: LARGEST_FRAME },
            Err(error) => ClientError::Protocol(error.to_string()),
        };
        // The receiver may be gone.
        let _ = reply.send(Err(refusal));
        None
    }

    /// Everything to send on a new connection: it is unknown which of them the server has received.
    pub(super) fn all(&mut self) -> Vec<String> {
        self.pending.retain(|_, pending| !pending.reply.is_closed());
        self.pending.values_mut().for_each(|pending| pending.due = None);
        self.pending.values().map(|pending| pending.text.clone()).collect()
    }

    pub(super) fn answer(&mut self, id: &str, answer: Result<CommandReceipt, ClientError>) {
        if let Some(pending) = id.parse().ok().and_then(|id: u64| self.pending.remove(&id)) {
            let _ = pending.reply.send(answer);
        }
    }

    /// Postpones a command that may succeed later; returns until when.
    pub(super) fn postpone(&mut self, id: &str) -> Option<Instant> {
        let pending = id.parse().ok().and_then(|id: u64| self.pending.get_mut(&id))?;
        let due = Instant::now() + pending.backoff.next_wait().max(Duration::from_millis(1));
        pending.due = Some(due);
        Some(due)
    }

    /// The texts that are due for a retry, and when the next one is.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<String>, Option<Instant>) {
        self.pending.retain(|_, pending| pending.due.is_none() || !pending.reply.is_closed());
        let mut texts = Vec::new();
        for pending in self.pending.values_mut().filter(|pending| pending.due.is_some_and(|due| due <= now)) {
            pending.due = None;
            texts.push(pending.text.clone());
        }
        (texts, self.pending.values().filter_map(|pending| pending.due).min())
    }

    pub(super) fn fail(&mut self, fate: &ClientError) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            let _ = pending.reply.send(Err(fate.clone()));
        }
    }
}
