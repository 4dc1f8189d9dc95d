//! Commands in flight on one connection.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::frame_ids::unusual_session_id;
use super::{frames, refusals};
use crate::hub::{CommandResult, HubError, ReplyTo, Submission};
use crate::scoped::{Refused, Scoped};
use crate::spans::Span;
use relive_protocol::{CommandFrame, ErrorCode, Given, ServerFrame};
use relive_session::{Command, SessionId};

/// Commands without an answer on one connection. At that many it reads no further frame until one is
/// answered.
pub(super) const IN_FLIGHT: usize = 1_024;
/// Their memory in bytes, unless a single one takes more. The same happens beyond it.
const IN_FLIGHT_BYTES: usize = 16 << 20;
/// Answers written together.
const ANSWERS: usize = 256;

/// The unanswered commands of one connection. Created with the first command: viewers that never send one
/// need no memory for it.
pub(super) struct InFlight {
    sender: mpsc::UnboundedSender<(u64, CommandResult)>,
    receiver: mpsc::UnboundedReceiver<(u64, CommandResult)>,
    waiting: HashMap<u64, Waiting>,
    bytes: usize,
    next_token: u64,
    /// A command that waits for a place in a lane. The connection reads nothing meanwhile: the next command would
    /// overtake it.
    submitting: Option<(u64, BoxFuture<'static, Result<(), HubError>>)>,
}

/// What became of a command at once; with the error frame if it was refused.
pub(super) enum Submitted {
    Taken,
    Refused(Bytes),
    /// The caller sends too many.
    Limited(Bytes),
}

/// A command without an answer.
struct Waiting {
    id: String,
    session_id: SessionId,
    /// The session's id as the frame has it, if that is another notation.
    written: Option<Given>,
    bytes: usize,
    /// From its arrival to its answer, if its trace is recorded.
    span: Option<Span>,
}

impl InFlight {
    pub fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver, waiting: HashMap::new(), bytes: 0, next_token: 0, submitting: None }
    }

    pub fn is_full(&self) -> bool {
        self.waiting.len() >= IN_FLIGHT || self.bytes >= IN_FLIGHT_BYTES || self.submitting.is_some()
    }

    /// Submits a command for a caller; `text` is its frame. All answers but those of [`Submitted`] come from
    /// [`InFlight::next`].
    pub fn submit(&mut self, scoped: &Arc<Scoped>, frame: CommandFrame, text: &str) -> Submitted {
        let written = unusual_session_id(text, frame.session_id);
        let CommandFrame { id, session_id, command, commands, command_id, expected_revision, lease_seconds, .. } =
            frame;
        let trace = frame.traceparent.as_deref().map(|parent| (parent, frame.tracestate.as_deref()));
        let (commands, is_array) = match (command, commands) {
            (Some(command), None) => (vec![command], false),
            (None, Some(commands)) => (commands, true),
            // A heartbeat.
            (None, None) if lease_seconds.is_some() => (Vec::new(), false),
            _ => {
                let problem = "give either `command` or `commands`";
                return Submitted::Refused(frames::error_frame(
                    Some(id),
                    Some(written.unwrap_or(session_id.into())),
                    ErrorCode::BadRequest,
                    problem,
                ));
            }
        };
        let command_id = command_id.map(Into::into);
        let mut span = command_span(scoped, session_id, &commands, trace);
        let submission = scoped.submission(session_id, commands);
        let submission = match submission.and_then(|submission| scoped.leased(submission, lease_seconds)) {
            Ok(submission) => {
                let span = span.as_ref().map(Span::parent);
                Submission { is_array, command_id, expected_revision, span, ..submission }
            }
            Err(refused) => {
                if let Some(span) = &mut span {
                    span.fail("refused");
                }
                let frame = refusals::frame(Some(id), written.unwrap_or(session_id.into()), &refused);
                let is_limited = matches!(refused, Refused::Limited(_));
                return if is_limited { Submitted::Limited(frame) } else { Submitted::Refused(frame) };
            }
        };
        let token = self.next_token;
        self.next_token += 1;
        let bytes = submission.weight();
        self.bytes += bytes;
        self.waiting.insert(token, Waiting { id, session_id, written, bytes, span });
        let reply = ReplyTo::Queue { sender: self.sender.clone(), token };
        let scoped = Arc::clone(scoped);
        let mut submitting = async move { scoped.submit(submission, reply).await }.boxed();
        match (&mut submitting).now_or_never() {
            Some(Ok(())) => Submitted::Taken,
            Some(Err(error)) => self.answer(token, Err(error)).map_or(Submitted::Taken, Submitted::Refused),
            None => {
                self.submitting = Some((token, submitting));
                Submitted::Taken
            }
        }
    }

    /// Whether a command has no answer yet.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits for answers and returns them as frames, several at once; none if a waiting command has got its
    /// place. Cancel-safe.
    pub async fn next(&mut self) -> Bytes {
        let mut outcomes = Vec::new();
        if let Some((token, submitting)) = &mut self.submitting {
            let placed = tokio::select! {
                biased;
                _ = self.receiver.recv_many(&mut outcomes, ANSWERS) => None,
                placed = submitting => Some((*token, placed)),
            };
            if let Some((token, placed)) = placed {
                self.submitting = None;
                outcomes.extend(placed.err().map(|error| (token, Err(error))));
            }
        } else {
            self.receiver.recv_many(&mut outcomes, ANSWERS).await;
        }
        let mut answers = BytesMut::new();
        for (token, outcome) in outcomes {
            if let Some(answer) = self.answer(token, outcome) {
                answers.extend_from_slice(&answer);
            }
        }
        answers.freeze()
    }

    fn answer(&mut self, token: u64, outcome: CommandResult) -> Option<Bytes> {
        let Waiting { id, session_id, written, bytes, mut span } = self.waiting.remove(&token)?;
        self.bytes -= bytes;
        if let Some(span) = &mut span {
            record(span, &outcome);
        }
        Some(match outcome {
            Ok(receipt) => {
                let duplicate = receipt.duplicate.then_some(true);
                frames::text(&ServerFrame::Ack { id, session_id, revision: receipt.revision, duplicate })
            }
            Err(error) => frames::hub_error(Some(id), written.unwrap_or(session_id.into()), &error),
        })
    }
}

/// From the arrival of commands to their answer; `None` if their trace is not recorded.
fn command_span(
    scoped: &Scoped,
    session_id: SessionId,
    commands: &[Command],
    trace: Option<(&str, Option<&str>)>,
) -> Option<Span> {
    let kind = commands.first().map_or("lease", Command::kind);
    let mut span = scoped.command_span(trace, kind)?;
    span.set("relive.session.id", session_id.to_string());
    span.set("relive.command.count", i64::try_from(commands.len()).unwrap_or(i64::MAX));
    span.set("network.protocol.name", "websocket");
    Some(span)
}

fn record(span: &mut Span, outcome: &CommandResult) {
    match outcome {
        Ok(receipt) => span.set("relive.revision", i64::try_from(receipt.revision).unwrap_or(i64::MAX)),
        Err(error) => span.fail(frames::error_code(error).as_str()),
    }
}
