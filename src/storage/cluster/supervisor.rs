//! Keeps the postmaster running for as long as the cluster lives.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, interval, sleep},
};
use tracing::{error, info, warn};

use super::{Plan, error::ClusterError, layout::Lock, log::CHECK_EVERY, postmaster, watchdog::Watchdog};
use relive_backoff::Backoff;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A postmaster that ran at least this long resets the backoff.
const WELL_AFTER: Duration = Duration::from_secs(30);

pub(super) struct Supervisor {
    pub plan: Arc<Plan>,
    /// Resolves when the cluster is stopped, or its handle dropped.
    pub stop: oneshot::Receiver<()>,
    /// Released after the postmaster has ended, not before.
    pub _locks: [Lock; 2],
}

impl Supervisor {
    /// Waits for `watchdog` to end, and for each restarted one, until told to stop.
    pub async fn run(mut self, mut watchdog: Watchdog) -> Result<(), ClusterError> {
        let mut backoff = Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF);
        loop {
            let started = Instant::now();
            if !self.watch(&mut watchdog).await {
                return watchdog.end(&self.plan.layout.pgdata).await;
            }
            // Closes the pipe: if only the shell was killed, the postmaster ends now.
            drop(watchdog);
            if started.elapsed() > WELL_AFTER {
                backoff.reset();
            }
            watchdog = match self.start_again(&mut backoff).await {
                Some(watchdog) => watchdog,
                // If it was the shell that ended, the postmaster may still be shutting down.
                None => return postmaster::ensure_stopped(&self.plan.layout.pgdata).await,
            };
        }
    }

    /// Waits until the postmaster ends (true) or the cluster is stopped (false).
    async fn watch(&mut self, watchdog: &mut Watchdog) -> bool {
        let mut log_check = interval(CHECK_EVERY);
        loop {
            tokio::select! {
                biased;
                _ = &mut self.stop => return false,
                ended = watchdog.ended() => {
                    let how = ended.map_or_else(|error| error.to_string(), |it| it.to_string());
                    let log = self.plan.log.tail(watchdog.log_start);
                    warn!(%how, log, "PostgreSQL ended by itself and is started again");
                    return true;
                }
                _ = log_check.tick() => self.plan.log.bound(),
            }
        }
    }

    /// Retries until a postmaster is started; `None` if told to stop meanwhile.
    async fn start_again(&mut self, backoff: &mut Backoff) -> Option<Watchdog> {
        loop {
            tokio::select! {
                biased;
                _ = &mut self.stop => return None,
                () = sleep(backoff.next_wait()) => {}
            }
            metrics::counter!("relive_postgres_restarts_total").increment(1);
            let started = tokio::select! {
                biased;
                _ = &mut self.stop => return None,
                started = Watchdog::start(&self.plan) => started,
            };
            match started {
                Ok(watchdog) => {
                    info!("started PostgreSQL again");
                    return Some(watchdog);
                }
                Err(why) => error!(%why, "cannot start PostgreSQL again; still trying"),
            }
        }
    }
}
