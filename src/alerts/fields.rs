//! What the fields of an alert may be.

use lettre::Address;

use relive_session::{AlertCondition, AlertFields, AlertNotify, limits};

/// Characters of a name.
const NAME_CHARACTERS: usize = 200;
/// Failed runs that a condition asks for.
const FAILURES: u32 = 1_000;
/// Minutes within which they fail: a week.
const WITHIN_MINUTES: u32 = 10_080;
/// How many times as long as others a run may go on for.
const FACTOR: f64 = 1_000.0;
/// Completed runs that are asked for.
const MINIMUM_RUNS: u32 = 10_000;
/// Webhooks that an alert names, and addresses.
const RECIPIENTS: usize = 10;
/// Bytes of an address: what SMTP allows in a path, without its brackets.
const ADDRESS_BYTES: usize = 254;

/// Why the fields are none of an alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("name must have 1 to 200 characters, on one line")]
    Name,
    #[error("condition.count must be from 1 to 1000")]
    Count,
    #[error("condition.withinMinutes must be from 1 to 10080")]
    Minutes,
    #[error("condition.factor must be from 1 to 1000")]
    Factor,
    #[error("condition.minimumRuns must be from 1 to 10000")]
    MinimumRuns,
    #[error("filter.tag must be a tag, of 1 to 64 characters")]
    Tag,
    #[error("notify.webhookIds may have at most 10 ids")]
    Webhooks,
    #[error("notify.emails may have at most 10 addresses")]
    Emails,
    #[error("notify.emails[{0}] must be an address such as ada@example.org, in ASCII and without a name")]
    Address(usize),
    #[error("this server sends no e-mails: RELIVE_SMTP_URL is not set")]
    NoMailer,
}

/// What requests about alerts need besides the storage.
#[derive(Clone, Copy, Debug)]
pub struct Alerts {
    /// Whether this server sends e-mails.
    pub sends_emails: bool,
}

impl Alerts {
    /// Checks the fields, and leaves out webhooks and addresses that are named twice.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(self, fields: &mut AlertFields) -> Result<(), FieldError> {
        if !is_name(&fields.name) {
            return Err(FieldError::Name);
        }
        check_condition(&fields.condition)?;
        if fields.filter.tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            return Err(FieldError::Tag);
        }
        self.check_notify(&mut fields.notify)
    }

    fn check_notify(self, notify: &mut AlertNotify) -> Result<(), FieldError> {
        keep_first(&mut notify.webhook_ids);
        keep_first(&mut notify.emails);
        if notify.webhook_ids.len() > RECIPIENTS {
            return Err(FieldError::Webhooks);
        }
        if notify.emails.len() > RECIPIENTS {
            return Err(FieldError::Emails);
        }
        if let Some(wrong) = notify.emails.iter().position(|address| !is_address(address)) {
            return Err(FieldError::Address(wrong));
        }
        if notify.emails.is_empty() || self.sends_emails { Ok(()) } else { Err(FieldError::NoMailer) }
    }
}

/// Of equal ones, the first.
fn keep_first<T: PartialEq + Clone>(items: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::new();
    for item in items.iter() {
        // One more than is allowed is refused: no need to look at the rest.
        if kept.len() > RECIPIENTS {
            break;
        }
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    *items = kept;
}

fn check_condition(condition: &AlertCondition) -> Result<(), FieldError> {
    match condition {
        AlertCondition::Failures { count, .. } if !(1..=FAILURES).contains(count) => Err(FieldError::Count),
        AlertCondition::Failures { within_minutes, .. } if !(1..=WITHIN_MINUTES).contains(within_minutes) => {
            Err(FieldError::Minutes)
        }
        AlertCondition::SlowRun { factor, .. } if !(1.0..=FACTOR).contains(factor) => Err(FieldError::Factor),
        AlertCondition::SlowRun { minimum_runs, .. } if !(1..=MINIMUM_RUNS).contains(minimum_runs) => {
            Err(FieldError::MinimumRuns)
        }
        _ => Ok(()),
    }
}

/// It stands in the subject of e-mails: nothing in it may end a line there.
fn is_name(name: &str) -> bool {
    let ends_a_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    !name.trim().is_empty() && name.chars().count() <= NAME_CHARACTERS && !name.contains(ends_a_line)
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty() && tag.chars().count() <= limits::TAG_CHARACTERS && !tag.contains('\0')
}

/// An address alone, without a name, comments or quotes: it is written into commands and headers.
pub(super) fn is_address(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"(),:;<>[]\\".contains(c);
    text.len() <= ADDRESS_BYTES && text.chars().all(is_plain) && text.parse::<Address>().is_ok()
}

#[cfg(test)]
mod tests {
    use relive_session::{AlertFilter, AlertNotify};
    use uuid::Uuid;

    use super::*;

    const OPEN: Alerts = Alerts { sends_emails: true };

    fn fields() -> AlertFields {
        AlertFields {
            name: "Nächtlich".to_owned(),
            condition: AlertCondition::Failures { count: 1_000, within_minutes: 10_080 },
            filter: AlertFilter::default(),
            notify: AlertNotify::default(),
            enabled: true,
        }
    }

    fn with_emails(emails: &[&str]) -> AlertFields {
        let emails = emails.iter().map(|email| (*email).to_owned()).collect();
        AlertFields { notify: AlertNotify { emails, ..AlertNotify::default() }, ..fields() }
    }

    fn refusal(mut fields: AlertFields) -> FieldError {
        OPEN.check(&mut fields).expect_err("refused")
    }

    #[test]
    fn a_name_cannot_end_the_line_of_a_header() {
        for name in ["", "  ", "a\r\nBcc: eve@example.org", "a\nb", "a\u{2028}b", "a\0b", &"ä".repeat(201)] {
            assert_eq!(refusal(AlertFields { name: name.to_owned(), ..fields() }), FieldError::Name, "{name:?}");
        }
        assert_eq!(OPEN.check(&mut AlertFields { name: "ä".repeat(200), ..fields() }), Ok(()));
    }

    #[test]
    fn an_address_is_one_address_and_nothing_else() {
        for email in ["ada@example.org", "a.b+c_d@mail.example.org", "o'brien@example.org"] {
            assert_eq!(OPEN.check(&mut with_emails(&[email])), Ok(()), "{email}");
        }
        let long = format!("a@{}.org", "x".repeat(250));
        for email in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "Ada <ada@example.org>",
            "ada@example.org, eve@example.org",
            "ada@example.org\r\nRCPT TO:<eve@example.org>",
            "ada@example.org\nBcc: eve@example.org",
            "\"ada\\\r\n\"@example.org",
            "ada@example.org>",
            "ada @example.org",
            "größe@example.org",
            &long,
        ] {
            assert_eq!(refusal(with_emails(&["ok@example.org", email])), FieldError::Address(1), "{email:?}");
        }
    }

    #[test]
    fn recipients_are_few_and_different() {
        let many: Vec<String> = (0..11).map(|n| format!("a{n}@example.org")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refusal(with_emails(&many)), FieldError::Emails);
        let mut twice = with_emails(&["b@example.org", "a@example.org", "b@example.org"]);
        assert_eq!(OPEN.check(&mut twice), Ok(()));
        assert_eq!(twice.notify.emails, ["b@example.org", "a@example.org"]);
        let webhook_ids = (0..11).map(|_| Uuid::now_v7()).collect();
        let webhooks = AlertFields { notify: AlertNotify { webhook_ids, ..AlertNotify::default() }, ..fields() };
        assert_eq!(refusal(webhooks), FieldError::Webhooks);
        let closed = Alerts { sends_emails: false };
        assert_eq!(closed.check(&mut with_emails(&["a@example.org"])), Err(FieldError::NoMailer));
        assert_eq!(closed.check(&mut fields()), Ok(()));
    }

    #[test]
    fn conditions_have_bounds() {
        let of = |condition: AlertCondition| refusal(AlertFields { condition, ..fields() });
        for count in [0, 1_001] {
            assert_eq!(of(AlertCondition::Failures { count, within_minutes: 1 }), FieldError::Count);
        }
        for within_minutes in [0, 10_081] {
            assert_eq!(of(AlertCondition::Failures { count: 1, within_minutes }), FieldError::Minutes);
        }
        for factor in [0.99, 1_000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(of(AlertCondition::SlowRun { factor, minimum_runs: 1 }), FieldError::Factor);
        }
        for minimum_runs in [0, 10_001] {
            assert_eq!(of(AlertCondition::SlowRun { factor: 1.0, minimum_runs }), FieldError::MinimumRuns);
        }
        let tag = AlertFilter { tag: Some("x".repeat(65)), ..AlertFilter::default() };
        assert_eq!(refusal(AlertFields { filter: tag, ..fields() }), FieldError::Tag);
    }
}
