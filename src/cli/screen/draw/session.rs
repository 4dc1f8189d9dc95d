//! One session: its summary, its nodes as a tree, their messages, and the position of a replay.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::super::session_page::{Focus, Said, SessionScreen};
use super::super::tree::Row;
use super::super::words;
use super::{BOLD, CHOSEN, DIM, Look, bar, first_shown};
use relive_client::{NodeStateSnapshot, NodeStatus, ReplaySpeed, ReplayState, Timestamp};

/// Columns from which nodes and messages are shown side by side.
const WIDE: u16 = 90;
/// Columns of a node's progress bar.
const BAR: usize = 8;
/// Lines below the tree for the selected node.
const DETAIL: u16 = 3;

pub(super) fn draw(frame: &mut Frame, area: Rect, page: &SessionScreen, look: Look, clock: Timestamp) {
    let scrubber = u16::from(page.is_relived()) * 2;
    let [head, _, body, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(scrubber),
    ])
    .areas(area);
    let now = page.now(clock);
    frame.render_widget(title(page, look, now), head);
    let (nodes, messages) = panes(body);
    draw_nodes(frame, nodes, page, look, now);
    draw_messages(frame, messages, page, look);
    if let Some(position) = page.position() {
        draw_scrubber(frame, bottom, position, look);
    }
}

fn panes(body: Rect) -> (Rect, Rect) {
    let (nodes, messages) = (Constraint::Fill(1), Constraint::Fill(1));
    let [nodes, _, messages] = if body.width >= WIDE {
        Layout::horizontal([nodes, Constraint::Length(2), messages]).areas(body)
    } else {
        Layout::vertical([nodes, Constraint::Length(1), messages]).areas(body)
    };
    (nodes, messages)
}

fn title(page: &SessionScreen, look: Look, now: Timestamp) -> Line<'static> {
    let mut line = Line::from(vec![Span::styled(format!(" {}", words::clean(&page.name)), BOLD), Span::raw("  ")]);
    let Some(session) = page.session() else { return line };
    line.push_span(look.status(session.status));
    let took = session.started_at.map(|began| words::duration(began, session.completed_at.unwrap_or(now)));
    let ended = session.nodes.values().filter(|node| node.snapshot.status.is_final()).count();
    let facts = [
        took,
        Some(format!("{ended}/{} nodes", session.nodes.len())),
        Some(format!("{} tokens", words::grouped(session.total_tokens))),
        Some(format!("${:.4}", session.total_cost_usd)),
        Some(format!("revision {}", session.revision)),
        session.error.as_deref().map(words::clean),
    ];
    for fact in facts.into_iter().flatten() {
        line.push_span(Span::styled(format!("  {fact}"), DIM));
    }
    line
}

fn draw_nodes(frame: &mut Frame, area: Rect, page: &SessionScreen, look: Look, now: Timestamp) {
    let [tree, detail] = Layout::vertical([Constraint::Min(1), Constraint::Length(DETAIL)]).areas(area);
    let rows = page.nodes().count();
    let first = first_shown(page.selected, rows, tree);
    let lines = page.nodes().enumerate().skip(first).take(tree.height.into()).map(|(place, (row, node))| {
        let line = node_line(row, node, look, now, tree.width.into());
        if place == page.selected && page.focus == Focus::Nodes { line.style(CHOSEN) } else { line }
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), tree);
    if let Some((row, node)) = page.selected_node() {
        frame.render_widget(Paragraph::new(node_detail(row, node, look)).wrap(Wrap { trim: true }), detail);
    }
}

fn node_line(row: &Row, node: Option<&NodeStateSnapshot>, look: Look, now: Timestamp, width: usize) -> Line<'static> {
    let status = node.map_or(NodeStatus::Pending, |node| node.status);
    let name = node.and_then(|node| node.name.clone()).filter(|name| !name.is_empty());
    let name = words::clean(&name.unwrap_or_else(|| row.id.to_string()));
    let indent = "  ".repeat(row.depth);
    let mut left = Line::from(vec![
        Span::styled(format!(" {indent}{} ", words::node_sign(status)), look.node(status)),
        if status == NodeStatus::Running { Span::styled(name, BOLD) } else { Span::raw(name) },
    ]);
    let right = node.map(|node| node_facts(node, look, now)).unwrap_or_default();
    let gap = width.saturating_sub(left.width() + right.width() + 1);
    left.push_span(" ".repeat(gap));
    left.extend(right.spans);
    left
}

/// Progress, attempt and duration.
fn node_facts(node: &NodeStateSnapshot, look: Look, now: Timestamp) -> Line<'static> {
    let mut facts = Line::default();
    if let Some(progress) = node.progress.filter(|_| node.status == NodeStatus::Running) {
        let (done, left) = bar(progress.get(), BAR);
        facts.push_span(Span::styled(done, look.node(node.status)));
        facts.push_span(Span::styled(left, DIM));
        facts.push_span(format!(" {:>3.0} %  ", progress.get() * 100.0));
    }
    if let Some(attempt) = node.attempt.filter(|attempt| *attempt > 1) {
        facts.push_span(Span::styled(format!("×{attempt}  "), DIM));
    }
    let ran = node.status != NodeStatus::Pending && node.status != NodeStatus::Skipped;
    if let Some(began) = node.started_at.filter(|_| ran) {
        let took = words::duration(began, node.completed_at.unwrap_or(now));
        facts.push_span(Span::styled(format!("{took:>9}"), DIM));
    }
    facts
}

fn node_detail(row: &Row, node: Option<&NodeStateSnapshot>, look: Look) -> Vec<Line<'static>> {
    let Some(node) = node else { return Vec::new() };
    let mut facts = vec![Span::styled(format!(" {}", node.status.as_str()), look.node(node.status))];
    let usage = node.token_usage.map(|usage| {
        format!("{} tokens in, {} out", words::grouped(usage.input_tokens), words::grouped(usage.output_tokens))
    });
    for fact in
        [Some(words::clean(row.id.as_str())), node.node_type.as_deref().map(words::clean), usage].into_iter().flatten()
    {
        facts.push(Span::styled(format!("  {fact}"), DIM));
    }
    let mut lines = vec![Line::from(facts)];
    if let Some(error) = &node.error {
        lines.push(Line::styled(format!(" {}", words::clean(error)), look.node(NodeStatus::Failed)));
    }
    lines
}

/// The newest at the bottom. Only as many as fit are laid out.
fn draw_messages(frame: &mut Frame, area: Rect, page: &SessionScreen, look: Look) {
    let room = usize::from(area.height);
    let (width, mut lines) = (usize::from(area.width).max(8), Vec::new());
    for said in page.messages().rev() {
        lines.extend(message_lines(said, page, look, width).into_iter().rev());
        if lines.len() >= page.scrolled + room {
            break;
        }
    }
    // Scrolled beyond the first message, the first stays at the top.
    lines.drain(..page.scrolled.min(lines.len().saturating_sub(room)));
    lines.truncate(room);
    lines.reverse();
    if page.focus == Focus::Messages
        && let Some(line) = lines.last_mut()
    {
        *line = std::mem::take(line).style(Style::new().add_modifier(Modifier::UNDERLINED));
    }
    let above = room.saturating_sub(lines.len());
    lines.splice(0..0, vec![Line::default(); above]);
    frame.render_widget(Paragraph::new(lines), area);
}

fn message_lines(said: &Said, page: &SessionScreen, look: Look, width: usize) -> Vec<Line<'static>> {
    let by = said.by.as_deref().map_or_else(|| page.node_name(&said.node_id), str::to_owned);
    let mut head = vec![Span::styled(words::clean(&by), BOLD)];
    let facts = [
        said.by.is_some().then(|| words::clean(&page.node_name(&said.node_id))),
        said.at.map(|at| at.as_datetime().format("%H:%M:%S").to_string()),
        said.is_thinking.then(|| "thinking".to_owned()),
    ];
    for fact in facts.into_iter().flatten() {
        head.push(Span::styled(format!("  {fact}"), DIM));
    }
    let mut lines = vec![Line::default(), Line::from(head)];
    let style = if said.is_thinking { DIM } else { Style::new() };
    let text = words::clean_lines(&said.text).flat_map(|line| words::wrapped(&line, width));
    lines.extend(text.map(|line| Line::styled(line, style)));
    if said.at.is_none()
        && let Some(last) = lines.last_mut()
    {
        last.push_span(Span::styled("▌", look.accent()));
    }
    lines
}

fn draw_scrubber(frame: &mut Frame, area: Rect, position: &ReplayState, look: Look) {
    let share = |at: Timestamp| {
        let all = position.end_at.as_millis().saturating_sub(position.start_at.as_millis());
        let gone = at.as_millis().saturating_sub(position.start_at.as_millis());
        if all > 0 { gone as f64 / all as f64 } else { 1.0 }
    };
    let state = match (position.live, position.playing) {
        (true, _) => "● live",
        (false, true) => "▶ playing",
        (false, false) => "‖ paused",
    };
    let speed = match position.speed {
        ReplaySpeed::Times(times) => format!("{times}×"),
        ReplaySpeed::Max => "max".to_owned(),
    };
    let left = format!(" {state}  {speed}  {}  ", words::duration(position.start_at, position.at));
    let right = format!(
        "  {}  revision {} of {}",
        words::duration(position.start_at, position.end_at),
        position.revision,
        position.last_revision
    );
    let columns = usize::from(area.width).saturating_sub(Line::raw(&*left).width() + Line::raw(&*right).width() + 1);
    let (done, rest) = bar(share(position.at), columns.max(4));
    let line = Line::from(vec![
        Span::styled(left, look.accent()),
        Span::styled(done, look.accent()),
        Span::styled(rest, DIM),
        Span::styled(right, DIM),
    ]);
    frame.render_widget(Paragraph::new(vec![Line::default(), line]), area);
}
