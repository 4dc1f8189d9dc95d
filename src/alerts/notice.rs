//! What webhooks and people are sent when an alert is raised or resolved.

use serde::Serialize;
use uuid::Uuid;

use crate::storage::{AlertTransition, DueAlert, NewAlertEmail, StorageError};
use relive_session::{AlertChange, AlertCondition, AlertFilter, AlertObservation, Timestamp, WebhookType};

/// The body of a delivery, in the form of Standard Webhooks.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: WebhookType,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    alert: Subject<'a>,
    /// The number of the event.
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed: Option<&'a AlertObservation>,
}

/// Who else is told is left out: it is not the business of every receiver.
#[derive(Serialize)]
struct Subject<'a> {
    id: Uuid,
    name: &'a str,
    condition: &'a AlertCondition,
    #[serde(skip_serializing_if = "AlertFilter::is_empty")]
    filter: &'a AlertFilter,
}

/// All that is written when an alert is raised or resolved.
pub(super) fn transition(
    due: &DueAlert,
    change: AlertChange,
    observed: Option<AlertObservation>,
) -> Result<AlertTransition, StorageError> {
    let fields = &due.alert.fields;
    let kind = match change {
        AlertChange::Raised => WebhookType::AlertRaised,
        AlertChange::Resolved => WebhookType::AlertResolved,
    };
    let alert = Subject { id: due.alert.id, name: &fields.name, condition: &fields.condition, filter: &fields.filter };
    let data = Data { alert, number: due.next_number(), observed: observed.as_ref() };
    let body = serde_json::to_string(&Body { kind, timestamp: due.now, data }).map_err(StorageError::Event)?;
    let subject = subject(change, &fields.name);
    let text = text(due, change, observed.as_ref());
    let email = |recipient: &String| NewAlertEmail {
        id: Uuid::now_v7(),
        recipient: recipient.clone(),
        subject: subject.clone(),
        body: text.clone(),
    };
    let emails = fields.notify.emails.iter().map(email).collect();
    Ok(AlertTransition { change, observed, body, emails })
}

fn subject(change: AlertChange, name: &str) -> String {
    match change {
        AlertChange::Raised => format!("[Relive] Raised: {name}"),
        AlertChange::Resolved => format!("[Relive] Resolved: {name}"),
    }
}

fn text(due: &DueAlert, change: AlertChange, observed: Option<&AlertObservation>) -> String {
    let fields = &due.alert.fields;
    let found = observed.map_or_else(|| "It is not enabled any more.".to_owned(), |found| found_text(found, fields));
    let mut text = format!(
        "The alert \"{}\" of the project {} was {} at {}.\n\n{found}\n\nCondition: {}\nRuns: {}\nAlert: {}\n",
        fields.name,
        due.project,
        change.as_str(),
        due.now,
        condition_text(&fields.condition),
        filter_text(&fields.filter),
        due.alert.id,
    );
    if change == AlertChange::Raised {
        text.push_str("\nYou are told once more, when it is resolved.\n");
    }
    text
}

fn condition_text(condition: &AlertCondition) -> String {
    match condition {
        AlertCondition::Failures { count, within_minutes } => {
            format!("{} within {}", counted(*count, "failed run"), counted(*within_minutes, "minute"))
        }
        AlertCondition::SlowRun { factor, minimum_runs } => format!(
            "a run goes on for longer than {factor} times the 99th percentile of at least {} before",
            counted(*minimum_runs, "completed run")
        ),
        AlertCondition::Budget { usd_per_day } => format!("more than {usd_per_day} USD on a day (UTC)"),
    }
}

fn filter_text(filter: &AlertFilter) -> String {
    let workflow = filter.workflow_id.map(|id| format!("workflow {id}"));
    let group = filter.group_id.map(|id| format!("group {id}"));
    let tag = filter.tag.as_ref().map(|tag| format!("tag {}", tag.escape_debug()));
    let parts: Vec<String> = [workflow, group, tag].into_iter().flatten().collect();
    if parts.is_empty() { "all of the project".to_owned() } else { parts.join(", ") }
}

fn found_text(observed: &AlertObservation, fields: &relive_session::AlertFields) -> String {
    match observed {
        AlertObservation::Failures { count, session_id } => {
            let AlertCondition::Failures { within_minutes, .. } = fields.condition else { return String::new() };
            let minutes = counted(within_minutes, "minute");
            let last = session_id.map(|id| format!(" The last one is the session {id}.")).unwrap_or_default();
            format!("{} within the last {minutes}.{last}", counted(*count, "failed run"))
        }
        AlertObservation::SlowRun { session_id, running_ms, p99_ms, runs } => {
            let usual = format!("Of {}, 99 % took no longer than {}.", counted(*runs, "completed run"), time(*p99_ms));
            match (session_id, running_ms) {
                (Some(id), Some(running)) => format!("The session {id} has gone on for {}. {usual}", time(*running)),
                _ => format!("No run goes on for too long. {usual}"),
            }
        }
        AlertObservation::Budget { day, cost_usd } => format!("The runs of {day} have cost {cost_usd} USD."),
    }
}

/// A number with its word.
fn counted(number: u32, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// A time in its two largest units.
fn time(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!("{seconds}.{:01} s", millis % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_as_people_write_them() {
        for (millis, expected) in
            [(0, "0.0 s"), (1_250, "1.2 s"), (61_000, "1 min 1 s"), (3_660_000, "1 h 1 min"), (90_000_000, "1 d 1 h")]
        {
            assert_eq!(time(millis), expected);
        }
        assert_eq!((counted(1, "minute"), counted(0, "minute")), ("1 minute".to_owned(), "0 minutes".to_owned()));
    }

    #[test]
    fn a_tag_stays_on_its_line() {
        let filter = AlertFilter { tag: Some("a\nb".to_owned()), ..AlertFilter::default() };
        assert_eq!(filter_text(&filter), "tag a\\nb");
    }
}
