//! `relive watch` on a terminal: the list, and a session with its nodes and messages, live and
//! as a replay.
//!
//! ```text
//! keys ──▶ Action ──┐
//! frames ──────────▶ WatchApp ──▶ draw, at most every 33 ms
//! answers ──────────┘
//! ```

mod app;
mod draw;
mod feed;
mod keys;
mod list_page;
mod session_page;
mod tree;
mod words;

use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use app::WatchApp;

use relive_client::{Client, SessionId, SessionStatus, Timestamp};

/// The least time between two drawings.
const FRAME: Duration = Duration::from_millis(33);
/// The time between two drawings while only the clock moves.
const TICK: Duration = Duration::from_millis(200);

/// Shows everything, or one session to begin with, until the user leaves.
///
/// Returns the status of the session that was open last, if there was one.
///
/// # Errors
///
/// If the terminal cannot be read or written.
pub(super) async fn run(client: Client, id: Option<SessionId>) -> std::io::Result<Option<SessionStatus>> {
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, client, id).await;
    ratatui::restore();
    shown
}

async fn show(
    terminal: &mut ratatui::DefaultTerminal,
    client: Client,
    id: Option<SessionId>,
) -> std::io::Result<Option<SessionStatus>> {
    let (mut app, mut answers) = WatchApp::new(client);
    if let Some(id) = id {
        app.open(id);
    }
    let look = draw::Look::of_environment();
    let mut events = EventStream::new();
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let (mut drawn, mut due) = (Instant::now(), Some(Instant::now()));
    while !app.quit {
        let wake = due.unwrap_or(drawn + if app.is_moving() { TICK } else { TICK * 300 });
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) => keys::action(key, app.place()).into_iter().for_each(|action| app.act(action)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            },
            happened = app.happens() => {
                app.handle(happened);
                app.take_ready();
            }
            Some(answer) = answers.recv() => app.answer(answer),
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            () = sleep_until(wake) => {
                terminal.draw(|frame| draw::app(frame, &app, look, Timestamp::now()))?;
                (drawn, due) = (Instant::now(), None);
                continue;
            }
        }
        due = Some(due.unwrap_or(drawn + FRAME));
    }
    Ok(app.open.and_then(|open| open.page.newest().map(|session| session.status)))
}
