//! Sends notices: one statement at a time, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::notice::{Notice, encode, encode_families};
use super::outbox::UnsentNotices;
use super::{HEARTBEAT, Shared};
use crate::hub::store::NoticeSender;
use crate::storage::StorageError;
use relive_backoff::Backoff;

/// The least time between two statements. The first after an idle period is sent at once; later changes are
/// collected, so that the cost is bounded at any load.
const GAP: Duration = Duration::from_millis(5);
/// Payloads in one statement at most.
const PAYLOADS: usize = 64;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(3);

/// Runs until told to stop, and then until the rest is sent.
pub(super) async fn run(shared: Arc<Shared>, mut notifier: Box<dyn NoticeSender>) {
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    loop {
        let pending = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            _ = heartbeat.tick() => {
                shared.outbox.heartbeat();
                continue;
            }
            pending = shared.outbox.next() => pending,
        };
        let pause = match send(&shared, &mut *notifier, &pending).await {
            Ok(()) => {
                backoff.reset();
                GAP
            }
            Err(error) => {
                tracing::debug!(%error, "notices to other servers wait");
                shared.outbox.requeue(pending);
                backoff.next_wait()
            }
        };
        let _ = shared.stop.run_until_cancelled(sleep(pause)).await;
    }
    // Also when no other server is known: one may just have learnt of this server.
    let rest = shared.outbox.drain();
    let leaves = Notice { leaves: true, ..Notice::default() }.encode(shared.me);
    if send(&shared, &mut *notifier, &rest).await.and(notifier.notify(&[leaves]).await).is_err() {
        tracing::debug!("other servers were not notified that this one stops");
    }
    notifier.close().await;
}

async fn send(shared: &Shared, notifier: &mut dyn NoticeSender, pending: &UnsentNotices) -> Result<(), StorageError> {
    let UnsentNotices { changed, deleted, families, resync, heartbeat } = pending;
    let changed = changed.iter().map(|(id, revision)| (*id, *revision));
    let mut payloads = encode(shared.me, changed, deleted);
    payloads.extend(encode_families(shared.me, families.iter().copied()));
    if *resync || *heartbeat {
        let heartbeat = heartbeat.then(|| shared.peers.ids());
        payloads.push(Notice { resync: *resync, heartbeat, ..Notice::default() }.encode(shared.me));
    }
    for payloads in payloads.chunks(PAYLOADS) {
        notifier.notify(payloads).await?;
        metrics::counter!("relive_notice_statements_total").increment(1);
        metrics::counter!("relive_notices_sent_total").increment(payloads.len() as u64);
    }
    Ok(())
}
