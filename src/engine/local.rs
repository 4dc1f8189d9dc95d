//! A session in this process's hub.
//!
//! Reports of nodes that end while earlier ones are being written are collected, and sent as one array.
//! Every array is conditional on the revision that this engine knows, which fences out other engines: an
//! engine that finds that a node was changed by another client releases the run
//! ([`LinkError::Fenced`]) and begins again from the session's state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::session_link::{LinkError, LinkEvents, SessionLink};
use crate::hub::{Chunk, Head, Hub, HubError, Submission, Subscription};
use crate::spans::{Span, SpanKind, Tracer};
use relive_backoff::Backoff;
use relive_session::{Command, Event, NodeId, Recorded, Refusal, Revision, Session, SessionId, Texts, limits};

/// Journal events read at once by a run that is behind.
const PAGE: u32 = 500;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// How often a command is retried after an internal error of the server.
const FAULTS: u32 = 5;

fn backoff() -> Backoff {
    Backoff::new(FIRST_RETRY, LAST_RETRY)
}

type Sent = Result<(), LinkError>;

/// A session in this process's hub.
#[derive(Debug)]
pub struct LocalLink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hub: Hub,
    subscription: Subscription,
    /// Cancelled when no more answers are awaited.
    stop: CancellationToken,
    /// Locked to add or remove reports; never across an await.
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether a task is writing; it ends when the queue is empty.
    writing: bool,
    /// The revision that this engine's state is valid for.
    known: Revision,
}

#[derive(Debug)]
struct Waiting {
    commands: Vec<Command>,
    answer: oneshot::Sender<Sent>,
}

impl LocalLink {
    /// Links to a session in its current state, with the events after it.
    ///
    /// # Errors
    ///
    /// As for [`Hub::subscribe`].
    pub async fn open(hub: Hub, id: SessionId, stop: CancellationToken) -> Result<(Self, LocalEvents), HubError> {
        let mut subscription = hub.subscribe(id).await?;
        let known = subscription.head().session().revision;
        let events = LocalEvents {
            hub: hub.clone(),
            subscription: hub.subscribe(id).await?,
            seen: known,
            waiting: VecDeque::new(),
            ended: false,
        };
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), writing: false, known });
        let shared = Arc::new(Shared { hub, subscription, stop, queue });
        // The state may have advanced since; a run begins at the revision that its events begin after.
        Ok((Self { shared }, events))
    }
}

impl SessionLink for LocalLink {
    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Sent> {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut queue = self.shared.queue.lock();
            queue.waiting.push_back(Waiting { commands, answer });
            !std::mem::replace(&mut queue.writing, true)
        };
        if begins {
            tokio::spawn(Arc::clone(&self.shared).write());
        }
        async move { answered.await.unwrap_or_else(|_| Err(LinkError::Lost("the server is stopping".to_owned()))) }
            .boxed()
    }

    fn session(&self) -> Arc<Session> {
        Arc::clone(self.shared.subscription.live().head().session())
    }

    fn output(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Arc<Value>>, LinkError>> {
        async move {
            let session = self.session();
            let mut backoff = backoff();
            loop {
                match self.shared.hub.output(&session, &node).await {
                    Ok(output) => return Ok(output),
                    Err(HubError::Unavailable) => self.shared.pause(&mut backoff).await?,
                    Err(error @ HubError::NotFound) => return Err(LinkError::Lost(error.to_string())),
                    Err(error) => return Err(LinkError::Unacceptable(error.to_string())),
                }
            }
        }
        .boxed()
    }

    fn tracer(&self) -> Tracer {
        self.shared.hub.tracer().clone()
    }

    fn show(&self, chunk: Chunk) {
        self.shared.hub.show_chunk(self.shared.subscription.live().id(), chunk);
    }
}

impl Shared {
    /// Writes queued reports until the queue is empty.
    async fn write(self: Arc<Self>) {
        while let Some(batch) = self.take_waiting() {
            let commands = batch.iter().flat_map(|waiting| waiting.commands.iter().cloned()).collect();
            match self.submit(commands).await {
                // One of them is at fault: each is sent alone.
                Err(LinkError::Refused(_) | LinkError::Unacceptable(_)) if batch.len() > 1 => {
                    for Waiting { commands, answer } in batch {
                        let _ = answer.send(self.submit(commands).await);
                    }
                }
                sent => batch.into_iter().for_each(|waiting| drop(waiting.answer.send(sent.clone()))),
            }
        }
    }

    /// As many reports as fit into one array, and at least one.
    fn take_waiting(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue.lock();
        let (mut batch, mut commands) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            commands += next.commands.len();
            if commands > limits::COMMANDS && !batch.is_empty() {
                break;
            }
            batch.extend(queue.waiting.pop_front());
        }
        queue.writing = !batch.is_empty();
        (!batch.is_empty()).then_some(batch)
    }

    async fn submit(&self, commands: Vec<Command>) -> Sent {
        let id = self.subscription.live().id();
        let mut backoff = backoff();
        let mut faults = 0;
        loop {
            let known = self.queue.lock().known;
            let by = self.hub.engine_actor();
            let mut submission = Submission { by, ..Submission::new(id, commands.clone()) };
            submission.expected_revision = Some(known);
            // Another session may have been made under its id, and come to the same revision.
            submission.expected_identity = Some(self.subscription.live().identity());
            let span = self.span_of(&commands);
            submission.span = span.as_ref().map(Span::parent);
            match self.hub.execute(submission).await {
                Ok(receipt) => {
                    self.queue.lock().known = receipt.revision;
                    return Ok(());
                }
                Err(HubError::Refused(Refusal::RevisionConflict { actual, .. })) => {
                    let newer = self.read_changes(known, actual).await?;
                    self.queue.lock().known = newer;
                }
                // If it was carried out, the retry finds a newer revision.
                Err(HubError::Unavailable) => self.pause(&mut backoff).await?,
                Err(error @ HubError::NotFound) => return Err(LinkError::Lost(error.to_string())),
                // The cause may be the database, or the command.
                Err(HubError::Internal) if faults < FAULTS => {
                    faults += 1;
                    self.pause(&mut backoff).await?;
                }
                Err(error @ HubError::Refused(Refusal::SessionTransition { .. })) => {
                    return Err(LinkError::Refused(error.to_string()));
                }
                Err(error) => return Err(LinkError::Unacceptable(error.to_string())),
            }
        }
    }

    /// A span for reports, in the trace of the session if that is recorded.
    fn span_of(&self, commands: &[Command]) -> Option<Span> {
        let tracer = self.hub.tracer();
        if !tracer.is_on() {
            return None;
        }
        let head = self.subscription.live().head();
        let trace = head.session().origin.trace.as_ref()?;
        let kind = commands.first().map_or("lease", Command::kind);
        let span = tracer.root(SpanKind::Internal, Some(trace), || format!("command {kind}"))?;
        Some(span.with("relive.session.id", head.session().id.to_string()))
    }

    async fn pause(&self, backoff: &mut Backoff) -> Sent {
        let stopped = || LinkError::Lost("the server is stopping".to_owned());
        self.stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await.ok_or_else(stopped)?;
        Ok(())
    }

    /// Checks what other clients have done since `known`, at least up to `actual`. Pauses and signals also arrive
    /// as events, but after a change of a node this engine's state is out of date.
    async fn read_changes(&self, known: Revision, actual: Revision) -> Result<Revision, LinkError> {
        let gone = |error: HubError| LinkError::Lost(error.to_string());
        let live = self.subscription.live();
        let mut head = self.hub.subscribe(live.id()).await.map_err(gone)?;
        if head.live().identity() != live.identity() {
            return Err(gone(HubError::NotFound));
        }
        // The newer revision may be decided but not written yet. Or this server shows an older revision than it
        // has answered, because a session could not be reloaded after a lost race: then the check passes once
        // it shows the newer one.
        while head.head().session().revision < known.max(actual) {
            if matches!(head.head(), Head::Deleted(_)) {
                return Err(gone(HubError::NotFound));
            }
            self.stop.run_until_cancelled(head.changed()).await.ok_or_else(|| gone(HubError::Unavailable))?;
        }
        let mut newest = known;
        let mut backoff = backoff();
        loop {
            let shown = head.live().head().session().revision;
            if newest >= shown {
                return Ok(newest);
            }
            let events = match events_between(&self.hub, &head, newest, shown).await {
                Ok(events) => events,
                Err(HubError::Unavailable) => {
                    self.pause(&mut backoff).await?;
                    continue;
                }
                Err(error) => return Err(gone(error)),
            };
            if events.is_empty() {
                return Err(gone(HubError::NotFound));
            }
            for recorded in events {
                if matches!(recorded.event, Event::NodeStatusChanged { .. }) {
                    return Err(LinkError::Fenced);
                }
                newest = recorded.revision;
            }
        }
    }
}

/// Events after `after`, up to the revision that this server shows; from memory, or else from the journal,
/// which may be ahead. An engine that read further, for example a resumption, would send commands that are
/// refused on the older state, and then wait for an event that it has already read.
async fn events_between(
    hub: &Hub,
    head: &Subscription,
    after: Revision,
    shown: Revision,
) -> Result<Vec<Recorded>, HubError> {
    let mut events: Vec<Recorded> = match head.live().events_after(after) {
        Some(frames) => frames.iter().map(|frame| frame.recorded().clone()).collect(),
        None => hub.events(head.live().id(), after, PAGE, Texts::default()).await?,
    };
    events.retain(|recorded| recorded.revision <= shown);
    Ok(events)
}

/// The events of a session in this process's hub.
#[derive(Debug)]
pub struct LocalEvents {
    hub: Hub,
    subscription: Subscription,
    seen: Revision,
    waiting: VecDeque<Recorded>,
    ended: bool,
}

impl LinkEvents for LocalEvents {
    async fn next(&mut self) -> Result<Option<Recorded>, LinkError> {
        let gone = || LinkError::Lost("the session was deleted".to_owned());
        loop {
            if let Some(next) = self.waiting.pop_front() {
                self.seen = next.revision;
                self.ended =
                    matches!(next.event, Event::Completed { .. } | Event::Failed { .. } | Event::Cancelled { .. });
                return Ok(Some(next));
            }
            if self.ended {
                return Ok(None);
            }
            let head = self.subscription.head();
            let shown = head.session().revision;
            if self.seen < shown {
                match events_between(&self.hub, &self.subscription, self.seen, shown).await {
                    Ok(events) if events.is_empty() => return Err(gone()),
                    Ok(events) => self.waiting = events.into(),
                    Err(HubError::Unavailable) => tokio::time::sleep(FIRST_RETRY).await,
                    Err(_) => return Err(gone()),
                }
            } else if matches!(head, Head::Deleted(_)) {
                return Err(gone());
            } else {
                self.subscription.changed().await;
            }
        }
    }
}
