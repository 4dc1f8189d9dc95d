//! The state of the screen, and how actions and frames change it.

use tokio::sync::mpsc;
use tokio::sync::watch;

use super::feed::ScreenFeed;
use super::keys::{KeyAction, Place};
use super::list_page::ListPage;
use super::session_page::{Focus, SessionScreen, far_revision, other_speed};
use super::words;
use relive_client::{
    Client, ClientError, Command, ConnectionState, GraphDefinition, ReplayControl, ReviewAction, ReviewRequest,
    Revision, ServerFrame, SessionId, SessionStatus, WorkflowSession,
};

/// Answers that wait to be shown.
const ANSWERS: usize = 16;

/// Results of calls to the server.
pub(super) enum CallResult {
    Graph(SessionId, Box<GraphDefinition>),
    Notice(String),
}

/// An open session, and the source of its frames.
pub(super) struct Open {
    pub page: SessionScreen,
    pub live: ScreenFeed,
    pub replay: Option<ScreenFeed>,
}

/// A confirmation before an irreversible action.
pub(super) struct Question {
    pub text: String,
    command: Command,
}

/// Everything on the screen.
pub(super) struct WatchApp {
    client: Client,
    pub connection: watch::Receiver<ConnectionState>,
    pub list: ListPage,
    pub list_feed: ScreenFeed,
    pub open: Option<Open>,
    pub notice: Option<String>,
    pub question: Option<Question>,
    pub quit: bool,
    answers: mpsc::Sender<CallResult>,
}

/// The next event.
pub(super) enum Happened {
    Listed(Result<ServerFrame, ClientError>),
    Lived(Result<ServerFrame, ClientError>),
    Relived(Result<ServerFrame, ClientError>),
    ConnectionChanged,
}

impl WatchApp {
    pub(super) fn new(client: Client) -> (Self, mpsc::Receiver<CallResult>) {
        let (answers, answered) = mpsc::channel(ANSWERS);
        let app = Self {
            connection: client.connection(),
            list: ListPage::default(),
            list_feed: ScreenFeed::list(&client),
            open: None,
            notice: None,
            question: None,
            quit: false,
            answers,
            client,
        };
        (app, answered)
    }

    pub(super) fn open(&mut self, id: SessionId) {
        self.notice = None;
        let live = ScreenFeed::live(&self.client, id);
        self.open = Some(Open { page: SessionScreen::new(id), live, replay: None });
        let (client, answers) = (self.client.clone(), self.answers.clone());
        tokio::spawn(async move {
            if let Ok(graph) = client.graph(id).await {
                // The receiver is gone once the screen is closed.
                let _ = answers.send(CallResult::Graph(id, Box::new(graph))).await;
            }
        });
    }

    /// Waits for a frame, or a change of the connection. Cancel-safe.
    pub(super) async fn happens(&mut self) -> Happened {
        let (live, replay) = match &mut self.open {
            Some(open) => (Some(&mut open.live), open.replay.as_mut()),
            None => (None, None),
        };
        tokio::select! {
            frame = self.list_feed.next() => Happened::Listed(frame),
            frame = next_of(live) => Happened::Lived(frame),
            frame = next_of(replay) => Happened::Relived(frame),
            Ok(()) = self.connection.changed() => Happened::ConnectionChanged,
        }
    }

    pub(super) fn handle(&mut self, happened: Happened) {
        match happened {
            Happened::Listed(Ok(frame)) => self.list.handle(frame),
            Happened::Lived(Ok(frame)) => self.take_live(frame),
            Happened::Relived(Ok(frame)) => self.take_replay(frame),
            Happened::Listed(Err(error)) | Happened::Lived(Err(error)) | Happened::Relived(Err(error)) => {
                self.notice = Some(error.to_string());
            }
            Happened::ConnectionChanged => {}
        }
    }

    /// Handles everything that is available, so that it is drawn at once.
    pub(super) fn take_ready(&mut self) {
        while let Some(frame) = self.list_feed.ready() {
            self.handle(Happened::Listed(frame));
        }
        while let Some(frame) = self.open.as_mut().and_then(|open| open.live.ready()) {
            self.handle(Happened::Lived(frame));
        }
        while let Some(frame) = self.open.as_mut().and_then(|open| open.replay.as_mut()?.ready()) {
            self.handle(Happened::Relived(frame));
        }
    }

    fn take_live(&mut self, frame: ServerFrame) {
        if let Some(open) = &mut self.open {
            open.page.take_live(frame);
        }
    }

    fn take_replay(&mut self, frame: ServerFrame) {
        match (frame, &mut self.open) {
            (ServerFrame::Error { message, .. }, _) => self.notice = Some(message),
            (frame, Some(open)) => open.page.take_replay(frame),
            _ => {}
        }
    }

    pub(super) fn answer(&mut self, answer: CallResult) {
        match (answer, &mut self.open) {
            (CallResult::Graph(id, graph), Some(open)) if open.page.id == id => open.page.learn_graph(&graph),
            (CallResult::Notice(notice), _) => self.notice = Some(notice),
            _ => {}
        }
    }

    pub(super) fn place(&self) -> Place {
        match &self.open {
            _ if self.question.is_some() => Place::Question,
            Some(open) if open.page.is_relived() => Place::Relived,
            Some(_) => Place::Live,
            None if self.list.typing => Place::Typing,
            None => Place::List,
        }
    }

    /// Whether the screen changes with time alone.
    pub(super) fn is_moving(&self) -> bool {
        let runs = |session: &WorkflowSession| !session.status.is_ended() && session.started_at.is_some();
        self.open.as_ref().is_none_or(|open| open.page.session().is_some_and(runs))
    }

    pub(super) fn act(&mut self, action: KeyAction) {
        self.notice = None;
        let question = self.question.take();
        match action {
            KeyAction::Quit => self.quit = true,
            KeyAction::Yes => question.into_iter().for_each(|question| self.command(question.command)),
            KeyAction::No => {}
            _ if self.open.is_some() => self.act_on_session(action),
            _ => self.act_on_list(action),
        }
    }

    fn act_on_list(&mut self, action: KeyAction) {
        match action {
            KeyAction::Move(rows) => self.list.move_by(rows),
            KeyAction::Search => self.list.typing = true,
            KeyAction::Type(character) => self.list.type_character(character),
            KeyAction::Erase => drop(self.list.text.pop()),
            KeyAction::Back if self.list.typing => {
                self.list.typing = false;
                self.list.text.clear();
            }
            KeyAction::Back => self.list.text.clear(),
            KeyAction::Open => {
                self.list.typing = false;
                if let Some(id) = self.list.chosen() {
                    self.open(id);
                }
            }
            _ => {}
        }
    }

    fn act_on_session(&mut self, action: KeyAction) {
        let Some(open) = &mut self.open else { return };
        let status = open.page.newest().map(|session| session.status);
        match action {
            KeyAction::Back => self.open = None,
            KeyAction::Move(rows) => open.page.move_by(rows),
            KeyAction::OtherPane => {
                open.page.focus = if open.page.focus == Focus::Nodes { Focus::Messages } else { Focus::Nodes };
            }
            KeyAction::Open => open.page.unfold_or_fold(),
            KeyAction::OnlySelected => open.page.only_selected = !open.page.only_selected,
            KeyAction::Start => self.command(Command::Start),
            KeyAction::PauseOrResume if status == Some(SessionStatus::Paused) => self.command(Command::Resume),
            KeyAction::PauseOrResume => self.command(Command::Pause),
            KeyAction::Stop => self.ask("Stop this run? It ends as failed.", Command::Stop { reason: None }),
            KeyAction::Cancel => self.ask("Cancel this run?", Command::Cancel { reason: None }),
            KeyAction::Approve => self.review(ReviewAction::Approve),
            KeyAction::Reject => self.review(ReviewAction::Reject),
            KeyAction::Relive => {
                open.page.relive();
                open.replay = Some(ScreenFeed::replay(&self.client, open.page.id));
            }
            KeyAction::Live => {
                open.page.go_live();
                open.replay = None;
            }
            other => open.control(other),
        }
    }

    fn ask(&mut self, text: impl Into<String>, command: Command) {
        self.question = Some(Question { text: text.into(), command });
    }

    /// Decides on what a node waits for. While access control is on, the server puts the caller's name in.
    fn review(&mut self, action: ReviewAction) {
        let waits = self.open.as_ref().and_then(|open| open.page.reviewed());
        let Some((node_id, name)) = waits else {
            self.notice = Some("no node waits for a review".to_owned());
            return;
        };
        let what = if action == ReviewAction::Approve { "Approve" } else { "Reject" };
        let reviewer = std::env::var("USER").ok().filter(|name| !name.is_empty());
        let request = ReviewRequest { node_id, action, reviewer, data: None, interrupt_id: None, lease_seconds: None };
        self.ask(format!("{what} '{}'?", words::clean(&name)), request.into());
    }

    /// Sends a command; a refusal is shown when it arrives.
    fn command(&mut self, command: Command) {
        let Some(id) = self.open.as_ref().map(|open| open.page.id) else { return };
        let (client, answers) = (self.client.clone(), self.answers.clone());
        tokio::spawn(async move {
            if let Err(error) = client.command(id, vec![command]).await {
                let _ = answers.send(CallResult::Notice(error.to_string())).await;
            }
        });
    }
}

impl Open {
    /// The replay control for an action.
    fn control(&self, action: KeyAction) {
        let (Some(replay), Some(position)) = (&self.replay, self.page.position()) else { return };
        let seek = |revision: Revision| ReplayControl::Seek(revision);
        let control = match action {
            KeyAction::PlayOrPause if position.playing => ReplayControl::Pause,
            KeyAction::PlayOrPause => ReplayControl::Play,
            KeyAction::Step { forward: true } => ReplayControl::StepForward,
            KeyAction::Step { forward: false } => ReplayControl::StepBack,
            KeyAction::Leap { forward } => seek(far_revision(position, forward)),
            KeyAction::First => seek(position.first_revision),
            KeyAction::Last => seek(position.last_revision),
            KeyAction::Speed { faster } => ReplayControl::Speed(other_speed(position.speed, faster)),
            _ => return,
        };
        replay.control(control);
    }
}

async fn next_of(feed: Option<&mut ScreenFeed>) -> Result<ServerFrame, ClientError> {
    match feed {
        Some(feed) => feed.next().await,
        None => std::future::pending().await,
    }
}
