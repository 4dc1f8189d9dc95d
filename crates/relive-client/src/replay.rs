//! Replays of stored sessions, over a connection of their own.

use tokio::time::{sleep, timeout};

use super::link::AuthenticatedConnection;
use super::socket::{Incoming, Lost};
use super::token::Tokens;
use super::{Address, ClientError, Options, SessionId};
use relive_backoff::Backoff;
use relive_protocol::{ClientFrame, ReplayAction, ReplaySpeed, ReplayState, ServerFrame};

/// Options of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReplayControl {
    Play,
    Pause,
    Seek(u64),
    StepForward,
    StepBack,
    Speed(ReplaySpeed),
}

impl ReplayControl {
    fn frame(self) -> ClientFrame {
        let (mut to, mut by, mut speed) = (None, None, None);
        let action = match self {
            Self::Play => ReplayAction::Play,
            Self::Pause => ReplayAction::Pause,
            Self::Seek(revision) => {
                to = Some(i64::try_from(revision).unwrap_or(i64::MAX));
                ReplayAction::Seek
            }
            Self::StepForward => ReplayAction::Step,
            Self::StepBack => {
                by = Some(-1);
                ReplayAction::Step
            }
            Self::Speed(wanted) => {
                speed = Some(wanted);
                ReplayAction::Speed
            }
        };
        ClientFrame::Replay { action, revision: to, at: None, speed, by }
    }
}

/// A replay: snapshots and messages, and [`ServerFrame::ReplayState`] with its position.
///
/// After a reconnect it continues at its position, playing if it was.
pub struct Replay {
    url: String,
    tokens: Tokens,
    options: Options,
    backoff: Backoff,
    socket: Option<AuthenticatedConnection>,
    position: Option<ReplayState>,
}

impl Replay {
    /// Begins paused, at the beginning. Connects with the first call of [`Replay::next`].
    pub(super) fn new(address: &Address, session_id: SessionId, tokens: Tokens, options: Options) -> Self {
        Self {
            url: address.ws(&format!("/ws/sessions/{session_id}/replay?messages=true&paused=true")),
            backoff: Backoff::with_full_jitter(options.backoff_first, options.backoff_most),
            tokens,
            options,
            socket: None,
            position: None,
        }
    }

    /// Sends a control with the next call of [`Replay::next`]; lost while there is no connection.
    pub fn control(&mut self, control: ReplayControl) {
        if let Some(socket) = &mut self.socket {
            push(socket, control);
        }
    }

    /// The next frame. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If the server says not to reconnect, as for a session that was deleted.
    pub async fn next(&mut self) -> Result<ServerFrame, ClientError> {
        loop {
            match self.next_frame().await {
                Ok(ServerFrame::ReplayState(state)) => {
                    self.position = Some((*state).clone());
                    return Ok(ServerFrame::ReplayState(state));
                }
                Ok(frame) => return Ok(frame),
                Err(lost) => {
                    let reason = lost.reason()?;
                    tracing::debug!(%reason, "the replay's connection was lost");
                }
            }
            self.socket = None;
            sleep(self.backoff.next_wait()).await;
        }
    }

    async fn next_frame(&mut self) -> Result<ServerFrame, Lost> {
        let silent = || Lost::Temporary("no data from the server in time".to_owned());
        loop {
            let socket = match &mut self.socket {
                Some(socket) => socket,
                None => self.socket.insert(resumed(
                    AuthenticatedConnection::connect(&self.url, &self.tokens).await?,
                    self.position.as_ref(),
                )),
            };
            let incoming = timeout(self.options.silence, socket.next()).await.map_err(|_| silent())??;
            self.backoff.reset();
            // Unknown frames are ignored.
            if let Incoming::Text(text) = incoming
                && let Ok(frame) = serde_json::from_str(&text)
            {
                return Ok(frame);
            }
        }
    }
}

/// Restores the position on a new connection.
fn resumed(mut socket: AuthenticatedConnection, position: Option<&ReplayState>) -> AuthenticatedConnection {
    if let Some(position) = position {
        push(&mut socket, ReplayControl::Speed(position.speed));
        push(&mut socket, ReplayControl::Seek(position.revision));
        if position.playing {
            push(&mut socket, ReplayControl::Play);
        }
    }
    socket
}

fn push(socket: &mut AuthenticatedConnection, control: ReplayControl) {
    match serde_json::to_string(&control.frame()) {
        Ok(text) => socket.push(text),
        Err(error) => tracing::error!(%error, "a control cannot be encoded"),
    }
}
