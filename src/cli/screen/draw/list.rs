//! The list of sessions.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::super::list_page::ListPage;
use super::super::words;
use super::{BOLD, CHOSEN, DIM, Look, bar, first_shown};
use relive_client::{SessionSummary, Timestamp};

/// Columns of a progress bar.
const BAR: usize = 12;

pub(super) fn draw(frame: &mut Frame, area: Rect, page: &ListPage, look: Look, clock: Timestamp) {
    let [head, _, body] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let shown = page.shown();
    frame.render_widget(title(page, shown.len(), look), head);
    if shown.is_empty() {
        let nothing = match (page.loaded, page.text.is_empty()) {
            (false, _) => " …",
            (true, true) => " No session yet. `relive run FILE` makes one.",
            (true, false) => " Nothing matches that text.",
        };
        frame.render_widget(Paragraph::new(nothing).style(DIM), body);
        return;
    }
    let chosen = page.selected(&shown);
    // One row goes to the header.
    let room = Rect { height: body.height.saturating_sub(1), ..body };
    let first = first_shown(chosen, shown.len(), room);
    let rows = shown.iter().enumerate().skip(first).take(room.height.into()).map(|(place, session)| {
        let style = if place == chosen { CHOSEN } else { ratatui::style::Style::new() };
        row(session, look, clock).style(style)
    });
    let widths = [
        Constraint::Length(12),
        Constraint::Fill(1),
        Constraint::Length(22),
        Constraint::Length(9),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(9),
    ];
    let header = Row::new([
        Line::from(" status"),
        Line::from("workflow"),
        Line::from("nodes"),
        Line::from("time").right_aligned(),
        Line::from("tokens").right_aligned(),
        Line::from("cost").right_aligned(),
        Line::from("changed"),
    ])
    .style(DIM);
    frame.render_widget(Table::new(rows, widths).header(header), body);
}

fn title(page: &ListPage, shown: usize, look: Look) -> Line<'static> {
    let mut line = Line::from(vec![Span::styled(" Relive", BOLD), Span::styled("  sessions", DIM)]);
    line.push_span(Span::styled(format!("  {shown}"), DIM));
    if page.typing || !page.text.is_empty() {
        line.push_span(Span::styled(format!("  /{}", page.text), look.accent()));
        line.push_span(if page.typing { "▏" } else { "" });
    }
    line
}

fn row(session: &SessionSummary, look: Look, clock: Timestamp) -> Row<'static> {
    let counts = session.node_counts;
    let ended = counts.completed + counts.failed + counts.skipped;
    let all = ended + counts.pending + counts.running + counts.suspended;
    let (done, left) = bar(f64::from(ended) / f64::from(all.max(1)), BAR);
    let progress = Line::from(vec![
        Span::styled(done, look.session(session.status)),
        Span::styled(left, DIM),
        Span::raw(format!(" {ended}/{all}")),
    ]);
    let began = session.started_at.unwrap_or(session.created_at);
    let until = session.completed_at.unwrap_or(clock);
    let took = session.started_at.map_or_else(String::new, |_| words::duration(began, until));
    let what = session.workflow_name.as_deref().filter(|name| !name.is_empty());
    let mut name = Line::from(what.map_or_else(|| session.id.to_string(), words::clean));
    if let Some(error) = &session.error {
        name.push_span(Span::styled(format!("  {}", words::clean(error)), DIM));
    }
    Row::new([
        Cell::from(Line::from(vec![Span::raw(" "), look.status(session.status)])),
        Cell::from(name),
        Cell::from(progress),
        Cell::from(Line::from(took).right_aligned()),
        Cell::from(Line::from(words::grouped(session.total_tokens)).right_aligned()),
        Cell::from(Line::from(format!("${:.4}", session.total_cost_usd)).right_aligned()),
        Cell::from(Span::styled(session.updated_at.as_datetime().format("%H:%M:%S").to_string(), DIM)),
    ])
}
