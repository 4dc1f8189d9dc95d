//! Commands in flight on one connection.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::frames;
use crate::hub::{Hub, Outcome, Reply, Submission};
use crate::protocol::{CommandFrame, ErrorCode, ServerFrame};
use crate::session::SessionId;

/// Commands that may wait for their answer on one connection. At that many it reads no further
/// frame until one is answered.
pub(super) const IN_FLIGHT: usize = 1_024;
/// Answers written together.
const ANSWERS: usize = 256;

/// The commands of one connection that are not answered yet. Made with the first command: a viewer
/// that never sends one does not pay for it.
#[derive(Debug)]
pub(super) struct InFlight {
    sender: mpsc::UnboundedSender<(u64, Outcome)>,
    receiver: mpsc::UnboundedReceiver<(u64, Outcome)>,
    waiting: HashMap<u64, (String, SessionId)>,
    next_token: u64,
}

impl InFlight {
    pub fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver, waiting: HashMap::new(), next_token: 0 }
    }

    pub fn is_full(&self) -> bool {
        self.waiting.len() >= IN_FLIGHT
    }

    /// Hands a command to the hub. Returns the error frame when it was refused at once; all other
    /// answers come from [`InFlight::answers`].
    pub async fn submit(&mut self, hub: &Hub, frame: CommandFrame) -> Option<Bytes> {
        let CommandFrame { id, session_id, command, commands, command_id, expected_revision } = frame;
        let commands = match (command, commands) {
            (Some(command), None) => vec![command],
            (None, Some(commands)) => commands,
            _ => {
                let problem = "give either `command` or `commands`";
                return Some(frames::error_frame(Some(id), Some(session_id), ErrorCode::BadRequest, problem));
            }
        };
        let command_id = command_id.map(Into::into);
        let submission = Submission { session_id, commands, command_id, expected_revision };
        let token = self.next_token;
        self.next_token += 1;
        self.waiting.insert(token, (id, session_id));
        let reply = Reply::Queue { sender: self.sender.clone(), token };
        match hub.submit(submission, reply).await {
            Ok(()) => None,
            Err(error) => self.answer(token, Err(error)),
        }
    }

    /// Waits for answers and returns them as frames, several at once. Cancel-safe.
    pub async fn answers(&mut self) -> Bytes {
        let mut outcomes = Vec::new();
        self.receiver.recv_many(&mut outcomes, ANSWERS).await;
        let mut answers = BytesMut::new();
        for (token, outcome) in outcomes {
            if let Some(answer) = self.answer(token, outcome) {
                answers.extend_from_slice(&answer);
            }
        }
        answers.freeze()
    }

    fn answer(&mut self, token: u64, outcome: Outcome) -> Option<Bytes> {
        let (id, session_id) = self.waiting.remove(&token)?;
        Some(match outcome {
            Ok(receipt) => {
                let duplicate = receipt.duplicate.then_some(true);
                frames::text(&ServerFrame::Ack { id, session_id, revision: receipt.revision, duplicate })
            }
            Err(error) => frames::hub_error(Some(id), session_id, &error),
        })
    }
}
