//! Alerts: telling somebody when a condition on runs begins to hold, and when it no longer does.
//!
//! ```text
//! alerts that are due ─▶ Evaluator ─┬─▶ webhook_deliveries ─▶ as any other (`webhooks`)
//!                                   └─▶ alert_emails ─▶ EmailSender ─▶ Mailer ─▶ SMTP server
//! ```
//!
//! Every server looks for alerts that are due; one claims an alert, reads what has become of its runs, and if the
//! condition has changed, writes that together with all that is sent of it. If it dies before, the alert is due again;
//! after that, nothing is lost. E-mails are sent until the SMTP server takes them or refuses the recipient, or the last
//! attempt has failed.

mod email_sender;
mod evaluation;
mod evaluator;
mod fields;
mod mailer;
mod notice;

use crate::storage::Storage;
use email_sender::EmailSender;
use evaluator::Evaluator;

pub use fields::{Alerts, FieldError};
pub use mailer::{Mailer, MailerError};

/// What works on alerts in the background.
#[derive(Debug)]
pub struct AlertTasks {
    evaluator: Evaluator,
    email_sender: EmailSender,
    sends_emails: bool,
}

impl AlertTasks {
    /// Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(storage: &Storage, mailer: Option<Mailer>) -> Self {
        let sends_emails = mailer.is_some();
        let email_sender = EmailSender::start(storage.clone(), mailer);
        Self { evaluator: Evaluator::start(storage.clone()), email_sender, sends_emails }
    }

    /// What requests about alerts need.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        Alerts { sends_emails: self.sends_emails }
    }

    /// Stops. What was begun is done by another server, or after the next start.
    pub async fn shutdown(&self) {
        tokio::join!(self.evaluator.shutdown(), self.email_sender.shutdown());
    }
}
