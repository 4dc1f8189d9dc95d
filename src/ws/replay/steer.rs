//! Controls of a replay.

use std::sync::Arc;

use super::Replay;
use crate::hub::HubError;
use crate::replay::{Point, ReplayError, Speed};
use crate::ws::frames;
use relive_protocol::{ClientFrame, Mode, ReplayAction, ReplaySpeed};
use relive_session::SessionId;

/// A valid `replay` frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ws) enum ReplayControl {
    Play(Option<Speed>),
    Pause,
    Seek(Point),
    Forward,
    Back,
    Speed(Speed),
}

impl ReplayControl {
    /// Reads a client's frame on a replay's socket.
    ///
    /// # Errors
    ///
    /// The error text for the client.
    pub fn read(frame: &ClientFrame) -> Result<Self, String> {
        let ClientFrame::Replay { action, revision, at, speed, by } = frame else {
            return Err("this socket is a replay; watch sessions live at /ws".to_owned());
        };
        let speed = speed.map(speed_of).transpose()?;
        match action {
            ReplayAction::Play => Ok(Self::Play(speed)),
            ReplayAction::Pause => Ok(Self::Pause),
            ReplayAction::Seek => match (*revision, *at) {
                (Some(revision), None) => Ok(Self::Seek(Point::Revision(revision))),
                (None, Some(at)) => Ok(Self::Seek(Point::Time(at))),
                _ => Err("a seek goes either to a `revision` or to a time `at`".to_owned()),
            },
            ReplayAction::Step => match (by, revision) {
                (Some(1), _) => Ok(Self::Forward),
                (Some(-1), _) => Ok(Self::Back),
                (Some(_), _) => Err("a step goes `by` 1 or -1".to_owned()),
                (None, Some(..0)) => Ok(Self::Back),
                (None, _) => Ok(Self::Forward),
            },
            ReplayAction::Speed => speed.map(Self::Speed).ok_or_else(|| "which `speed`?".to_owned()),
        }
    }
}

/// A speed within its limits.
fn speed_of(speed: ReplaySpeed) -> Result<Speed, String> {
    match speed {
        ReplaySpeed::Max => Ok(Speed::Max),
        ReplaySpeed::Times(factor) => Speed::times(factor)
            .ok_or_else(|| format!("a speed lies between {} and {}, or is \"max\"", Speed::SLOWEST, Speed::FASTEST)),
    }
}

impl Replay {
    /// Carries out a control, and answers with the new position or an error.
    pub async fn steer(&mut self, control: ReplayControl) {
        let id = self.request.session_id;
        match self.carry_out(control).await {
            Ok(()) => self.report(),
            Err(ReplayError::Storage(error)) if error.is_transient() => {
                self.socket.send(frames::hub_error(None, id, &HubError::from(error)));
            }
            Err(error) => self.fail(error),
        }
    }

    /// The session being replayed.
    pub fn session_id(&self) -> SessionId {
        self.request.session_id
    }

    async fn carry_out(&mut self, control: ReplayControl) -> Result<(), ReplayError> {
        self.send_unsent();
        self.refresh().await?;
        let was_live = !matches!(control, ReplayControl::Play(_)) && self.leave_live().await?;
        self.stays_behind = None;
        match control {
            ReplayControl::Play(speed) => {
                if let Some(speed) = speed {
                    self.player.set_speed(self.wall(), speed);
                }
                if self.player.is_at_end() && self.edge.is_none() {
                    self.seek(Point::Revision(1)).await?;
                }
                self.player.play(self.wall());
            }
            ReplayControl::Pause => self.player.pause(self.wall()),
            ReplayControl::Seek(point) => self.seek(point).await?,
            ReplayControl::Forward => {
                if let Some(event) = self.player.step(self.wall()).await? {
                    self.send_step(event);
                }
            }
            ReplayControl::Back => {
                self.player.pause(self.wall());
                let before = i64::try_from(self.player.revision()).unwrap_or(i64::MAX) - 1;
                self.seek(Point::Revision(before)).await?;
            }
            ReplayControl::Speed(speed) => {
                self.player.set_speed(self.wall(), speed);
                self.stays_behind = was_live.then(|| self.player.revision());
            }
        }
        Ok(())
    }

    /// Seeks to a position and shows the whole state there, in every mode: a client that folds events needs a
    /// state to continue from. Messages in between are not sent.
    async fn seek(&mut self, point: Point) -> Result<(), ReplayError> {
        let state = self.player.seek(self.wall(), point).await?;
        self.socket.send(frames::snapshot_of(&state));
        self.texts = state.revision;
        self.is_catching_up = false;
        self.not_before = None;
        self.base = (self.request.mode != Mode::Events).then(|| Arc::new(state));
        Ok(())
    }
}
