//! The sources of frames: a task each, with a short queue, so that waiting for keys never
//! interrupts a connection.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use relive_client::{
    Client, ClientError, Mode, ReplayControl, ServerFrame, SessionFilters, SessionId, Subscribe, Subscription,
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

    /// A session: its messages so far, and then each state and message to its end.
    pub(super) fn live(client: &Client, session_id: SessionId) -> Self {
        let client = client.clone();
        Self::of(None, async move |queue| match subscribe(&client, session_id).await {
            Ok(mut subscription) => {
                while let Some(frame) = subscription.next().await {
                    if !hand_on(&queue, frame).await {
                        break;
                    }
                }
            }
            Err(error) => drop(hand_on(&queue, Err(error)).await),
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

/// From revision 0 on, so that all messages come. A page that was just closed may not have
/// unsubscribed yet.
async fn subscribe(client: &Client, session_id: SessionId) -> Result<Subscription, ClientError> {
    loop {
        let wanted = Subscribe {
            session_id,
            mode: Some(Mode::Snapshot),
            after: Some(0),
            messages: Some(true),
            logs: None,
            min_interval_ms: Some(INTERVAL),
        };
        match client.subscribe(wanted).await {
            Err(ClientError::AlreadySubscribed(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            subscribed => return subscribed,
        }
    }
}
