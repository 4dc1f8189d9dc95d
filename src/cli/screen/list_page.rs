//! The state of the session list, and how frames and keys change it. Pure.

use relive_client::{ServerFrame, SessionChange, SessionId, SessionSummary};

/// Sessions kept; older ones are not listed.
const SESSIONS: usize = 1_000;
/// Characters of the text searched for.
const TEXT: usize = 100;

/// The list, newest first.
#[derive(Debug, Default)]
pub(super) struct ListPage {
    sessions: Vec<SessionSummary>,
    /// By id, so that the selection stays when the list moves.
    selected: Option<SessionId>,
    pub text: String,
    /// Whether keys go into `text`.
    pub typing: bool,
    pub loaded: bool,
}

impl ListPage {
    pub(super) fn handle(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Sessions { sessions, .. } => {
                self.sessions = sessions;
                self.sessions.sort_by_key(newest_first);
                self.loaded = true;
            }
            ServerFrame::Session { change, session } => {
                self.sessions.retain(|known| known.id != session.id);
                if change != SessionChange::Removed {
                    let place = self.sessions.partition_point(|known| newest_first(known) < newest_first(&session));
                    self.sessions.insert(place, *session);
                }
            }
            _ => {}
        }
        self.sessions.truncate(SESSIONS);
    }

    /// The sessions that match the search text.
    pub(super) fn shown(&self) -> Vec<&SessionSummary> {
        let text = self.text.to_lowercase();
        let holds = |field: &str| field.to_lowercase().contains(&text);
        let matches = |session: &&SessionSummary| {
            text.is_empty()
                || session.workflow_name.as_deref().is_some_and(holds)
                || session.error.as_deref().is_some_and(holds)
                || holds(session.status.as_str())
                || holds(&session.id.to_string())
        };
        self.sessions.iter().filter(matches).collect()
    }

    /// The index of the selected session among those shown.
    pub(super) fn selected(&self, shown: &[&SessionSummary]) -> usize {
        let place = |id| shown.iter().position(|session| session.id == id);
        self.selected.and_then(place).unwrap_or_default()
    }

    pub(super) fn chosen(&self) -> Option<SessionId> {
        let shown = self.shown();
        shown.get(self.selected(&shown)).map(|session| session.id)
    }

    pub(super) fn move_by(&mut self, rows: isize) {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let place = self.selected(&shown).saturating_add_signed(rows).min(last);
        self.selected = shown.get(place).map(|session| session.id);
    }

    pub(super) fn type_character(&mut self, character: char) {
        if self.text.chars().count() < TEXT && !character.is_control() {
            self.text.push(character);
        }
    }
}

/// In the order of the server.
fn newest_first(session: &SessionSummary) -> std::cmp::Reverse<(relive_client::Timestamp, SessionId)> {
    std::cmp::Reverse((session.created_at, session.id))
}
