//! From a commit to the last viewer on this server.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::span::{Span, SpanParent};

/// Spans that end together. Of a session that nobody watches they are not exported, and would only gather.
const SPANS: usize = 256;

/// The way of a committed state to the viewers of its session. It is over when nobody holds it any more; its spans
/// end when the last viewer was handed the state, or a later one. If none was, there are no spans.
#[derive(Debug)]
pub struct Broadcast {
    way: Mutex<Way>,
}

#[derive(Debug)]
struct Way {
    /// One for each command that led to the state.
    spans: Vec<Span>,
    viewers: i64,
    last: Option<SystemTime>,
}

impl Broadcast {
    /// The way of what these commands led to; `None` if none of them is recorded.
    pub fn of<'a>(commands: impl Iterator<Item = &'a SpanParent>) -> Option<Arc<Self>> {
        let spans: Vec<Span> = commands.take(SPANS).map(|command| command.child("broadcast")).collect();
        let way = Way { spans, viewers: 0, last: None };
        (!way.spans.is_empty()).then(|| Arc::new(Self { way: Mutex::new(way) }))
    }

    /// Viewers have not been shown an earlier state yet; they will be shown this one instead.
    pub fn replaces(&self, earlier: &Self) {
        let mut earlier = std::mem::take(&mut earlier.way.lock().spans);
        let mut way = self.way.lock();
        let room = SPANS.saturating_sub(way.spans.len()).min(earlier.len());
        way.spans.extend(earlier.drain(..room));
        drop(way);
        earlier.iter_mut().for_each(Span::discard);
    }

    /// A viewer's socket has taken the state.
    pub fn handed_over(&self) {
        let mut way = self.way.lock();
        way.viewers += 1;
        way.last = Some(SystemTime::now());
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        let Way { spans, viewers, last } = self.way.get_mut();
        for span in spans {
            match *last {
                Some(last) => {
                    span.set("relive.viewers", *viewers);
                    span.end_at(last);
                }
                None => span.discard(),
            }
        }
    }
}
