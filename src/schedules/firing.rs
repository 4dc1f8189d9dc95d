//! Fires a schedule: starts the run of a time at which it is due, and notes when it is due again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::timetable::Timetable;
use crate::access::{Access, Action, Caller, CredentialId, Grant, Role};
use crate::engine::{Engine, PlanError};
use crate::hub::{Hub, HubError, Submission};
use crate::scoped::{Refused, Scoped};
use crate::storage::{Constraint, DueSchedule, FiredSchedule, Storage, StorageError};
use relive_session::{
    Actor, ActorKind, Command, Created, Driver, LastRun, Overlap, Refusal, ScheduleOutcome, SessionId, Timestamp,
    Workflow,
};

/// Where the metadata of a run has its schedule, and the time that it was started for.
const SCHEDULE_ID: &str = "scheduleId";
const SCHEDULED_AT: &str = "scheduledAt";
/// A run that begins within this time is in time.
const IN_TIME: Duration = Duration::from_secs(5);

/// Fires schedules.
pub(super) struct Firing {
    pub hub: Hub,
    pub storage: Storage,
    pub access: Access,
    pub engine: Engine,
}

/// Why a run was not started.
enum NotStarted {
    /// It is tried again when the claim has passed.
    Later(HubError),
    Skipped,
    Failed(String),
}

impl From<HubError> for NotStarted {
    fn from(error: HubError) -> Self {
        if error == HubError::Unavailable { Self::Later(error) } else { Self::Failed(error.to_string()) }
    }
}

impl From<StorageError> for NotStarted {
    fn from(error: StorageError) -> Self {
        HubError::from(error).into()
    }
}

impl From<Refused> for NotStarted {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Hub(error) => error.into(),
            Refused::Denied(_) | Refused::Limited(_) => Self::Failed(refused.to_string()),
        }
    }
}

impl Firing {
    /// Fires a schedule that is due. Of several times that have passed, the last one counts.
    pub async fn fire(&self, due: &DueSchedule) -> Result<(), StorageError> {
        let fields = &due.schedule.fields;
        let timetable = match Timetable::new(&fields.cron, &fields.timezone) {
            Ok(timetable) => timetable,
            // It was written by another version.
            Err(error) => return self.record(due, failed(due.due_at, error.to_string()), None).await,
        };
        let at = timetable.last_until(due.now).filter(|last| *last > due.due_at).unwrap_or(due.due_at);
        let grace = Duration::from_secs(fields.catch_up_seconds.into()).max(IN_TIME);
        let without_run = |outcome| LastRun { at, outcome, session_id: None, error: None };
        let last = if due.now.since(at) > grace {
            without_run(ScheduleOutcome::Missed)
        } else {
            match self.start(due, at).await {
                Ok(id) => LastRun { session_id: Some(id), ..without_run(ScheduleOutcome::Started) },
                Err(NotStarted::Skipped) => without_run(ScheduleOutcome::Skipped),
                Err(NotStarted::Failed(error)) => {
                    tracing::warn!(error, schedule = %due.schedule.id, "a scheduled run could not be started");
                    failed(at, error)
                }
                Err(NotStarted::Later(error)) => {
                    tracing::debug!(%error, schedule = %due.schedule.id, "a scheduled run has to wait");
                    return Ok(());
                }
            }
        };
        self.record(due, last, timetable.next_after(due.now)).await
    }

    async fn record(&self, due: &DueSchedule, last: LastRun, next: Option<Timestamp>) -> Result<(), StorageError> {
        metrics::counter!("relive_schedule_firings_total", "outcome" => last.outcome.as_str()).increment(1);
        self.storage.record_firing(due, &FiredSchedule { last, next }).await
    }

    /// Starts the run of a time, unless that was done before.
    async fn start(&self, due: &DueSchedule, at: Timestamp) -> Result<SessionId, NotStarted> {
        let schedule = &due.schedule;
        let id = run_id(schedule.id, at);
        let scoped = self.scoped(due);
        if !self.storage.has_session(&due.project, id).await? {
            self.make_room(&scoped, due, at).await?;
            self.storage.note_schedule_run(schedule.id, at, id).await?;
            let created = self.describe(&scoped, due, at).await?;
            match scoped.create(id, created, None, Action::CreateFromWorkflow).await {
                // Another server was faster.
                Ok(_) | Err(Refused::Hub(HubError::Constraint(Constraint::SessionExists))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if scoped.session(id).await?.origin.driver == Driver::Builtin {
            // Done once, however often it is asked for.
            let command_id = Some("schedule:start".into());
            let start = Submission { command_id, ..scoped.follow_up(id, vec![Command::Start])? };
            scoped.execute(start).await?;
        }
        Ok(id)
    }

    /// Does with the runs that have not ended what the schedule says.
    async fn make_room(&self, scoped: &Scoped, due: &DueSchedule, at: Timestamp) -> Result<(), NotStarted> {
        let overlap = due.schedule.fields.overlap;
        if overlap == Overlap::Allow {
            return Ok(());
        }
        let running = self.storage.running_of_schedule(due.schedule.id, at).await?;
        if overlap == Overlap::Skip {
            return if running.is_empty() { Ok(()) } else { Err(NotStarted::Skipped) };
        }
        for (id, identity) in running {
            let cancel = Command::Cancel { reason: Some("the next run of its schedule was due".to_owned()) };
            let submission = scoped.follow_up(id, vec![cancel])?;
            let submission = Submission { expected_identity: Some(identity), ..submission };
            match scoped.execute(submission).await {
                // It has ended meanwhile.
                Ok(_) | Err(HubError::NotFound | HubError::Refused(Refusal::SessionTransition { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The first event of the run. What the built-in engine has no node types for is left to an engine outside.
    async fn describe(&self, scoped: &Scoped, due: &DueSchedule, at: Timestamp) -> Result<Created, NotStarted> {
        let fields = &due.schedule.fields;
        let workflow: Option<Workflow> = scoped.entity(fields.workflow_id).await?;
        let workflow = workflow.ok_or_else(|| NotStarted::Failed("there is no such workflow".to_owned()))?;
        let graph = workflow.fields.graph;
        let named = graph.properties.get("driver").and_then(Value::as_str);
        let driver = match (named, self.engine.check(&graph).await) {
            (Some("external"), _) => Driver::External,
            (_, Ok(())) => Driver::Builtin,
            (None, Err(PlanError::UnknownType { .. })) => Driver::External,
            (_, Err(error)) => return Err(NotStarted::Failed(error.to_string())),
        };
        let mut metadata = Map::new();
        metadata.insert(SCHEDULE_ID.to_owned(), due.schedule.id.to_string().into());
        metadata.insert(SCHEDULED_AT.to_owned(), at.to_string().into());
        Ok(Created {
            workflow_id: Some(fields.workflow_id),
            workflow_name: Some(workflow.fields.name),
            group_id: workflow.fields.group_id,
            graph: Some(Arc::new(graph)),
            inputs: fields.inputs.clone(),
            driver,
            name: fields.name.clone(),
            metadata: Some(metadata),
            ..Created::default()
        })
    }

    /// What a schedule may do: what an operator may, in its project.
    fn scoped(&self, due: &DueSchedule) -> Scoped {
        let name = due.schedule.fields.name.as_deref().unwrap_or("schedule");
        // While access control is off, nobody is named.
        let actor = self.hub.engine_actor();
        let actor = actor.map(|_| Arc::new(Actor::new(ActorKind::Engine, &due.schedule.id.to_string(), name)));
        let caller = Caller {
            project: due.project.clone(),
            actor,
            grant: Grant::Role(Role::Operator),
            expires_at: None,
            credential: CredentialId::Anonymous,
        };
        Scoped::new(self.hub.clone(), self.storage.clone(), self.access.clone(), Arc::new(caller), None)
    }
}

fn failed(at: Timestamp, error: String) -> LastRun {
    LastRun { at, outcome: ScheduleOutcome::Failed, session_id: None, error: Some(error) }
}

/// The id of the run of a time.
fn run_id(schedule: Uuid, at: Timestamp) -> SessionId {
    let digest = Sha256::new().chain_update(schedule.as_bytes()).chain_update(at.as_millis().to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    SessionId(Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_run_follows_from_schedule_and_time() {
        let (schedule, at) = (Uuid::now_v7(), Timestamp::now());
        let id = run_id(schedule, at);
        assert_eq!(id, run_id(schedule, at));
        assert_ne!(id, run_id(schedule, at + Duration::from_millis(1)));
        assert_ne!(id, run_id(Uuid::now_v7(), at));
    }
}
