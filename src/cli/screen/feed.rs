//! The sources of frames: a task each, with a short queue, so that waiting for keys never
//! interrupts a connection.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::session_page::{LOGS, MESSAGES};
use relive_client::{
    Client, ClientError, Mode, ReplayControl, Revision, ServerFrame, SessionFilters, SessionId, Subscribe, Subscription,
};

/// Frames that wait to be drawn. If the queue is full, the client or the server waits.
const QUEUE: usize = 64;
/// Controls that wait to be sent; further ones are dropped.
const CONTROLS: usize = 16;
/// The least time between two states in milliseconds: more could not be seen.
const INTERVAL: u64 = 50;

type Frame = Result<ServerFrame, ClientError>;

/// Frames of one kind. Dropping it ends its task.
pub(super) struct ScreenFeed {
    frames: mpsc::Receiver<Frame>,
    controls: Option<mpsc::Sender<ReplayControl>>,
    _task: AbortOnDropHandle<()>,
}

impl ScreenFeed {
    /// The live list.
    pub(super) fn list(client: &Client) -> Self {
        let mut list = client.sessions(&SessionFilters { limit: Some(200), ..SessionFilters::default() });
        Self::of(None, async move |queue| while hand_on(&queue, list.next().await).await {})
    }

    /// A session: its state, its newest messages and log lines, and then each state, message and line to its end.
    pub(super) fn live(client: &Client, session_id: SessionId) -> Self {
        let client = client.clone();
        Self::of(None, async move |queue| {
            if let Err(error) = follow(&client, session_id, &queue).await {
                hand_on(&queue, Err(error)).await;
            }
        })
    }

    /// The same session, as a replay.
    pub(super) fn replay(client: &Client, session_id: SessionId) -> Self {
        let mut replay = client.replay(session_id);
        let (sender, mut controls) = mpsc::channel(CONTROLS);
        Self::of(Some(sender), async move |queue| {
            loop {
                tokio::select! {
                    frame = replay.next() => if !hand_on(&queue, frame).await { break },
                    Some(control) = controls.recv() => replay.control(control),
                }
            }
        })
    }

    fn of<F>(controls: Option<mpsc::Sender<ReplayControl>>, run: impl FnOnce(mpsc::Sender<Frame>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (queue, frames) = mpsc::channel(QUEUE);
        Self { frames, controls, _task: AbortOnDropHandle::new(tokio::spawn(run(queue))) }
    }

    /// The next frame; waits for ever after the last one.
    pub(super) async fn next(&mut self) -> Frame {
        match self.frames.recv().await {
            Some(frame) => frame,
            None => std::future::pending().await,
        }
    }

    /// A frame, if one is available.
    pub(super) fn ready(&mut self) -> Option<Frame> {
        self.frames.try_recv().ok()
    }

    pub(super) fn control(&self, control: ReplayControl) {
        if let Some(controls) = &self.controls {
            // Only a key held down fills this queue, and then dropping one does not matter.
            let _ = controls.try_send(control);
        }
    }
}

/// False if no more frames will come.
async fn hand_on(queue: &mpsc::Sender<Frame>, frame: Frame) -> bool {
    let last = frame.is_err();
    queue.send(frame).await.is_ok() && !last
}

/// What there is, and then what comes. A run may have said and logged far more than can be shown, so only the newest of
/// it is read; what comes after the state is sent by the subscription.
async fn follow(client: &Client, session_id: SessionId, queue: &mpsc::Sender<Frame>) -> Result<(), ClientError> {
    let session = Box::new(client.session(session_id).await?);
    let revision = session.revision;
    if !hand_on(queue, Ok(ServerFrame::Snapshot { session_id, revision, session })).await {
        return Ok(());
    }
    for message in client.newest_messages(session_id, MESSAGES).await? {
        hand_on(queue, Ok(ServerFrame::Message { session_id, revision, message })).await;
    }
    for log in client.newest_logs(session_id, LOGS).await? {
        hand_on(queue, Ok(ServerFrame::Log { session_id, revision: log.revision, log })).await;
    }
    let mut subscription = subscribe(client, session_id, revision).await?;
    while let Some(frame) = subscription.next().await {
        if !hand_on(queue, frame).await {
            break;
        }
    }
    Ok(())
}

/// A page that was just closed may not have unsubscribed yet.
async fn subscribe(client: &Client, session_id: SessionId, after: Revision) -> Result<Subscription, ClientError> {
    loop {
        let wanted = Subscribe {
            session_id,
            mode: Some(Mode::Snapshot),
            after: Some(after),
            messages: Some(true),
            logs: Some(true),
            min_interval_ms: Some(INTERVAL),
        };
        match client.subscribe(wanted).await {
            Err(ClientError::AlreadySubscribed(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            subscribed => return subscribed,
        }
    }
}
