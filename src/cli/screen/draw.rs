//! Drawing the screen.

mod list;
mod session;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::app::WatchApp;
use super::keys::Place;
use super::words;
use relive_client::{ConnectionState, NodeStatus, SessionStatus, Timestamp};

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    coloured: bool,
}

impl Look {
    /// No colours when `NO_COLOR` is set to anything.
    pub(super) fn of_environment() -> Self {
        Self { coloured: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    fn colour(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    fn accent(self) -> Style {
        self.colour(Color::Blue)
    }

    fn node(self, status: NodeStatus) -> Style {
        match status {
            NodeStatus::Completed => self.colour(Color::Green),
            NodeStatus::Failed => self.colour(Color::Red),
            NodeStatus::Running => self.colour(Color::Blue),
            NodeStatus::Suspended => self.colour(Color::Yellow),
            NodeStatus::Pending | NodeStatus::Skipped => DIM,
        }
    }

    fn session(self, status: SessionStatus) -> Style {
        match status {
            SessionStatus::Completed => self.colour(Color::Green),
            SessionStatus::Failed => self.colour(Color::Red),
            SessionStatus::Running => self.colour(Color::Blue),
            SessionStatus::Paused | SessionStatus::Cancelled => self.colour(Color::Yellow),
            SessionStatus::Pending => DIM,
        }
    }

    fn status(self, status: SessionStatus) -> Span<'static> {
        Span::styled(format!("{} {:<9}", words::session_sign(status), status.as_str()), self.session(status))
    }
}

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

pub(super) fn app(frame: &mut Frame, app: &WatchApp, look: Look, clock: Timestamp) {
    let [body, footer] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    match &app.open {
        Some(open) => session::draw(frame, body, &open.page, look, clock),
        None => list::draw(frame, body, &app.list, look, clock),
    }
    frame.render_widget(bottom_line(app, look), footer);
}

/// A question, a problem, or the keys.
fn bottom_line(app: &WatchApp, look: Look) -> Line<'static> {
    let warning = look.colour(Color::Yellow);
    if let Some(question) = &app.question {
        return Line::styled(format!(" {} y/n", question.text), warning);
    }
    let connection = match &*app.connection.borrow() {
        ConnectionState::Connected => None,
        ConnectionState::Reconnecting { reason } => Some(format!("connection lost, reconnecting: {reason}")),
        ConnectionState::Closed(error) => Some(error.to_string()),
    };
    if let Some(problem) = connection.as_ref().or(app.notice.as_ref()) {
        return Line::styled(format!(" {}", words::clean(problem)), warning);
    }
    let keys: &[(&str, &str)] = match app.place() {
        Place::List => &[("enter", "open"), ("/", "search"), ("q", "quit")],
        Place::Typing => &[("enter", "open"), ("esc", "all")],
        Place::Live | Place::Question => &[
            ("s", "start"),
            ("p", "pause/resume"),
            ("x", "stop"),
            ("c", "cancel"),
            ("r", "relive"),
            ("tab", "messages"),
            ("m", "only this node's"),
            ("esc", "list"),
            ("q", "quit"),
        ],
        Place::Relived => &[
            ("space", "play/pause"),
            ("←→", "step"),
            ("[ ]", "leap"),
            ("home/end", ""),
            ("+-", "speed"),
            ("l", "live"),
            ("q", "quit"),
        ],
    };
    let key = |(key, what): &(&'static str, &'static str)| {
        [Span::styled(format!(" {key}"), BOLD), Span::styled(format!(" {what} "), DIM)]
    };
    let waits = app.place() == Place::Live && app.open.as_ref().is_some_and(|open| open.page.reviewed().is_some());
    let review: &[(&str, &str)] = if waits { &[("a", "approve"), ("d", "reject")] } else { &[] };
    review.iter().chain(keys).flat_map(key).collect()
}

/// The first of the rows shown, such that the selected one is among them and near the middle.
fn first_shown(chosen: usize, rows: usize, area: Rect) -> usize {
    let height = usize::from(area.height);
    chosen.saturating_sub(height / 2).min(rows.saturating_sub(height))
}

/// `████▌─────`: a progress bar of this many columns.
fn bar(share: f64, columns: usize) -> (String, String) {
    let halves = (share.clamp(0.0, 1.0) * columns as f64 * 2.0).round();
    // In range: `share` is, and a terminal is not that wide.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let halves = halves as usize;
    let half = if halves % 2 == 1 { "╸" } else { "" };
    ("━".repeat(halves / 2) + half, "─".repeat(columns.saturating_sub(halves.div_ceil(2))))
}
