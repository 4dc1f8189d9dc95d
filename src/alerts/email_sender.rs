//! Sends e-mails that are due.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::mailer::Mailer;
use crate::storage::{DueEmail, EmailAttempt, Storage, StorageError};
use crate::webhooks::wait_after;
use relive_session::DeliveryStatus;

/// How often the database is looked at.
const POLL: Duration = Duration::from_secs(1);
/// E-mails that are sent at once.
const AT_ONCE: u32 = 4;
/// How long a server may take for them before another one sends them too: longer than an attempt.
const CLAIM: Duration = Duration::from_mins(1);
/// How long those that are being sent are waited for when the server stops.
const STOPPING: Duration = Duration::from_secs(3);

/// Sends e-mails until it is shut down.
#[derive(Debug)]
pub(super) struct EmailSender {
    stop: CancellationToken,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl EmailSender {
    /// Must be called inside a Tokio runtime. Without a mailer, e-mails are left to other servers.
    #[must_use]
    pub fn start(storage: Storage, mailer: Option<Mailer>) -> Self {
        let stop = CancellationToken::new();
        let task = mailer.map(|mailer| tokio::spawn(run(storage, mailer, stop.clone())));
        Self { stop, task: parking_lot::Mutex::new(task) }
    }

    /// Stops. What has been taken, and of which it is not known whether the SMTP server has it, is sent again: in a
    /// minute by another server, or after the next start.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A task that panicked has said so itself.
            let _ = task.await;
        }
    }
}

async fn run(storage: Storage, mailer: Mailer, stop: CancellationToken) {
    let mut pause = POLL;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let mut round = pin!(round(&storage, &mailer));
        let outcome = tokio::select! {
            outcome = &mut round => outcome,
            () = stop.cancelled() => {
                let _ = tokio::time::timeout(STOPPING, round).await;
                return;
            }
        };
        pause = match outcome {
            // There may be more.
            Ok(true) => Duration::ZERO,
            Ok(false) => POLL,
            Err(error) => {
                tracing::debug!(%error, "e-mails have to wait");
                POLL
            }
        };
    }
}

/// Sends what is due; returns whether there may be more.
async fn round(storage: &Storage, mailer: &Mailer) -> Result<bool, StorageError> {
    let due = storage.claim_due_emails(CLAIM, AT_ONCE).await?;
    let sending: Vec<BoxFuture<'_, _>> = due.iter().map(|email| send(storage, mailer, email).boxed()).collect();
    for outcome in join_all(sending).await {
        outcome?;
    }
    Ok(due.len() == AT_ONCE as usize)
}

async fn send(storage: &Storage, mailer: &Mailer, email: &DueEmail) -> Result<(), StorageError> {
    let began = Instant::now();
    let outcome = mailer.send(email).await;
    metrics::histogram!("relive_alert_email_seconds").record(began.elapsed().as_secs_f64());
    let result = if outcome.is_ok() { "delivered" } else { "failed" };
    metrics::counter!("relive_alert_emails_total", "result" => result).increment(1);
    let attempt = match outcome {
        Ok(()) => EmailAttempt { status: DeliveryStatus::Delivered, again: None, error: None },
        Err(error) => {
            let tries = email.attempts.saturating_sub(1);
            let again = wait_after(tries, None).filter(|_| !error.is_final);
            let status = if again.is_some() { DeliveryStatus::Pending } else { DeliveryStatus::Failed };
            if status == DeliveryStatus::Failed {
                metrics::counter!("relive_alert_emails_given_up_total").increment(1);
                tracing::warn!(email = %email.id, error = error.text, "an e-mail about an alert is given up");
            }
            EmailAttempt { status, again, error: Some(error.text) }
        }
    };
    storage.record_email(email, &attempt).await
}
