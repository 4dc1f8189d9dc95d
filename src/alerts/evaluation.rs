//! Whether the condition of an alert holds, and what follows from it.

use std::time::Duration;

use chrono::{DurationRound as _, TimeDelta};

use super::notice::transition;
use crate::storage::{DueAlert, Storage, StorageError, UsualRuns};
use relive_session::{AlertChange, AlertCondition, AlertObservation, AlertStatus, Timestamp};

/// A run that goes on for less is not slow, however short others were.
const SHORTEST_SLOW_RUN: Duration = Duration::from_secs(1);

/// What was found.
struct Verdict {
    holds: bool,
    observed: Option<AlertObservation>,
}

/// Looks at an alert; returns what has become of it, if that has changed.
pub(super) async fn evaluate(storage: &Storage, due: &DueAlert) -> Result<Option<AlertChange>, StorageError> {
    let verdict = look(storage, due).await?;
    let change = match (due.alert.status, verdict.holds) {
        (AlertStatus::Resolved, true) => AlertChange::Raised,
        (AlertStatus::Raised, false) => AlertChange::Resolved,
        (AlertStatus::Resolved, false) | (AlertStatus::Raised, true) => return Ok(None),
    };
    let new = transition(due, change, verdict.observed)?;
    Ok(storage.record_transition(due, &new).await?.then_some(change))
}

async fn look(storage: &Storage, due: &DueAlert) -> Result<Verdict, StorageError> {
    let fields = &due.alert.fields;
    if !fields.enabled {
        return Ok(Verdict { holds: false, observed: None });
    }
    match &fields.condition {
        AlertCondition::Failures { count, within_minutes } => {
            let failed = storage.failed_runs(&due.project, &fields.filter, *within_minutes).await?;
            let observed = AlertObservation::Failures { count: failed.count, session_id: failed.last };
            Ok(Verdict { holds: failed.count >= *count, observed: Some(observed) })
        }
        AlertCondition::SlowRun { factor, minimum_runs } => {
            look_for_slow_run(storage, due, *factor, *minimum_runs).await
        }
        AlertCondition::Budget { usd_per_day } => {
            let (start, day) = day_of(due.now);
            let cost_usd = storage.spent_since(&due.project, &fields.filter, start).await?;
            let holds = cost_usd > *usd_per_day;
            Ok(Verdict { holds, observed: Some(AlertObservation::Budget { day, cost_usd }) })
        }
    }
}

async fn look_for_slow_run(
    storage: &Storage,
    due: &DueAlert,
    factor: f64,
    minimum_runs: u32,
) -> Result<Verdict, StorageError> {
    let usual = match due.usual {
        Some(usual) if !usual.is_outdated(minimum_runs) => usual,
        _ => storage.find_usual_runs(due).await?,
    };
    let UsualRuns { runs, p99: Some(p99), .. } = usual else { return Ok(Verdict { holds: false, observed: None }) };
    let slow = if runs < minimum_runs {
        None
    } else {
        let longer_than = p99.mul_f64(factor).max(SHORTEST_SLOW_RUN);
        storage.slow_run(&due.project, &due.alert.fields.filter, longer_than).await?
    };
    let observed = AlertObservation::SlowRun {
        session_id: slow.map(|slow| slow.id),
        running_ms: slow.map(|slow| millis(slow.running)),
        p99_ms: millis(p99),
        runs,
    };
    Ok(Verdict { holds: slow.is_some(), observed: Some(observed) })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The beginning of the day in UTC, and its name.
fn day_of(time: Timestamp) -> (Timestamp, String) {
    let time = time.as_datetime();
    // Only times that a count of nanoseconds cannot express are refused.
    let start = time.duration_trunc(TimeDelta::hours(24)).unwrap_or(time);
    (start.into(), start.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        for (time, start, day) in [
            ("2026-05-28T23:59:59.999Z", "2026-05-28T00:00:00Z", "2026-05-28"),
            ("2026-05-29T00:00:00Z", "2026-05-29T00:00:00Z", "2026-05-29"),
        ] {
            let expected: Timestamp = start.parse().expect("a time");
            assert_eq!(day_of(time.parse().expect("a time")), (expected, day.to_owned()));
        }
    }
}
