//! Sequences that a seed rarely leads to: written down, and run before the seeds.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use parking_lot::Mutex;
use relive::engine::{EngineOptions, LocalLink, SessionLink as _};
use relive::hub::{CommandResult, CreateOptions, Hub, HubError, HubOptions, Receipt, Submission};
use relive_session::{Command, Created, Driver, Event as Happened, NodeStatus, Session, SessionId, SessionStatus};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::chance::Chance;
use crate::clients::Clients;
use crate::database::Row;
use crate::server::{Server, Size};
use crate::world::{Arranged, Event, FOREIGN, Odds, Shared, World};

const ID: SessionId = SessionId(Uuid::from_u128(7));

/// What is wrong, with the name of the scenario.
pub fn all() -> Vec<String> {
    type Scenario = (&'static str, fn() -> Result<(), String>);
    let scenarios: [Scenario; 8] = [
        ("a write that lands late", lands_late),
        ("a refusal because of a write that lands late", refused_by_itself),
        ("a command for another session", another_session),
        ("nothing to change in another session", nothing_to_change),
        ("nothing to change any more", changed_back),
        ("an old look at what is stored", old_look),
        ("a report to another session", report_to_another),
        ("a resumption that is not shown yet", early_resumption),
    ];
    let only = std::env::var("SCENARIO").ok();
    let is_meant = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let meant = scenarios.into_iter().filter(|(name, _)| is_meant(name));
    meant.filter_map(|(name, run)| Some(format!("scenario '{name}': {}", run().err()?))).collect()
}

/// One server, and nothing breaks by itself.
struct Stage {
    world: Shared,
    server: Server,
    outcomes: Arc<Mutex<Vec<CommandResult>>>,
}

impl Stage {
    fn new() -> Self {
        Self::with(Duration::from_hours(1))
    }

    /// Sessions in memory are compared with the stored ones every so often.
    fn with(check_every: Duration) -> Self {
        let shows = std::env::var_os("SCENARIO").is_some();
        let world = World::new(Chance::new(7), Odds::default(), 1, Clients::default(), shows);
        let (world, mut server) = (Arc::new(Mutex::new(world)), Server::new(0));
        let hub = HubOptions { lanes: 1, check_every, ..HubOptions::default() };
        server.start(&world, &Size { hub, engine: EngineOptions::default() });
        Self { world, server, outcomes: Arc::default() }
    }

    fn spawn<W>(&mut self, work: impl FnOnce(Hub) -> W)
    where
        W: Future<Output = CommandResult> + Send + 'static,
    {
        let Some(hub) = self.server.hub().cloned() else { return };
        let (work, outcomes) = (work(hub), Arc::clone(&self.outcomes));
        self.server.spawn(async move {
            let outcome = work.await;
            outcomes.lock().push(outcome);
        });
    }

    /// Lets so many milliseconds pass.
    fn pass(&mut self, millis: u64) {
        let began = self.world.lock().now;
        for now in began + 1..=began + millis {
            self.world.lock().now = now;
            loop {
                let event = self.world.lock().take_due();
                match event {
                    Some(Event::Do(action)) => action(&mut self.world.lock()),
                    Some(_) => {}
                    None => break,
                }
            }
            self.server.run_to(now);
        }
    }

    fn create(&mut self) {
        self.create_as(Created::default());
    }

    fn create_as(&mut self, created: Created) {
        self.spawn(|hub| async move {
            hub.create(ID, created, CreateOptions::default()).await?;
            hub.execute(Submission::new(ID, vec![Command::Start])).await
        });
        self.pass(50);
    }

    fn outcomes(&self) -> Vec<CommandResult> {
        std::mem::take(&mut self.outcomes.lock())
    }

    fn arrange(&self, kind: &'static str, arranged: Arranged) {
        self.world.lock().arranged.insert(kind, arranged);
    }

    fn held(&self) -> Result<Arc<Session>, String> {
        self.server.hub().and_then(|hub| hub.held(ID)).ok_or_else(|| "not in memory".to_owned())
    }

    /// What the database has of the session.
    fn stored<T>(&self, of: impl FnOnce(&Row) -> T) -> Result<T, String> {
        self.world.lock().database.rows.get(&ID).map(of).ok_or_else(|| "the session is not stored".to_owned())
    }

    /// A rule that was broken.
    fn check(&self) -> Result<(), String> {
        self.world.lock().wrong.first().map_or(Ok(()), |wrong| Err(wrong.clone()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.kill();
        // Statements on their way hold the world, and it them.
        while self.world.lock().pop().is_some() {}
    }
}

fn mark() -> Submission {
    Submission::new(ID, vec![Command::set_context("mark", json!(1))])
}

/// A write comes to the database just after it was looked for, and before it is written again the session is
/// read anew: the second write would not lose a race.
fn lands_late() -> Result<(), String> {
    let mut stage = Stage::new();
    stage.create();
    // A lane waits for 6 s.
    stage.arrange("write", Arranged { late: 6_010, ..Arranged::default() });
    stage.spawn(|hub| async move { hub.execute(mark()).await });
    stage.pass(6_011);
    stage.spawn(|hub| async move {
        hub.refresh(ID, 3).await?;
        Err(HubError::Unavailable)
    });
    stage.pass(3_000);
    let is_mark = |event: &Happened| matches!(event, Happened::ContextSet { key, .. } if key == "mark");
    let marks = |row: &Row| row.journal.iter().filter(|stored| is_mark(&stored.recorded.event)).count();
    match stage.stored(marks)? {
        1 => Ok(()),
        times => Err(format!("carried out {times} times, answers {:?}", stage.outcomes())),
    }
}

/// A command for a session that was deleted, and another one made under its id at the same moment.
fn another_session() -> Result<(), String> {
    let mut stage = Stage::new();
    stage.create();
    let first = stage.held()?;
    stage.spawn(|hub| async move {
        hub.delete(ID, None).await?;
        Err(HubError::Unavailable)
    });
    stage.pass(50);
    // The clock is put back to when the first one was created.
    let now = crate::server::EPOCH + stage.world.lock().now.cast_signed();
    stage.server.jump(first.origin.created_at.as_millis() - now);
    stage.create();
    stage.outcomes();
    let second = stage.held()?;
    if second.origin.created_at != first.origin.created_at {
        return Err("not created in the same millisecond".to_owned());
    }
    let meant = |session: &Session| Submission { expected_identity: Some(session.identity()), ..mark() };
    let (to_first, to_second) = (meant(&first), meant(&second));
    stage.spawn(|hub| async move { hub.execute(to_first).await });
    stage.pass(50);
    stage.spawn(|hub| async move { hub.execute(to_second).await });
    stage.pass(50);
    match &stage.outcomes()[..] {
        [Err(HubError::NotFound), Ok(receipt)] if receipt.revision == 3 => Ok(()),
        answers => Err(format!("answers {answers:?}")),
    }
}

/// A batch comes to the database after it was looked for, twice. The first of its commands is found to be carried
/// out when it loses the race against it; the second, a cancellation, is then decided on its own effect.
fn refused_by_itself() -> Result<(), String> {
    let mut stage = Stage::new();
    stage.create();
    stage.outcomes();
    // The lane waits for 6 s, looks at once, and again after a pause, of which it hears after the batch has landed.
    stage.arrange("write", Arranged { late: 6_200, ..Arranged::default() });
    stage.arrange("batches", Arranged { answer: 400, ..Arranged::default() });
    let cancel = vec![Command::set_context("cancelled", json!(1)), Command::Cancel { reason: None }];
    let outcomes = Arc::clone(&stage.outcomes);
    stage.spawn(|hub| async move {
        // Both in one batch.
        let (mark, cancel) = join(hub.execute(mark()), hub.execute(Submission::new(ID, cancel))).await;
        outcomes.lock().push(mark);
        cancel
    });
    stage.pass(9_000);
    let (status, outcomes) = (stage.stored(|row| row.state().status)?, stage.outcomes());
    match (status, &outcomes[..]) {
        (SessionStatus::Cancelled, [Ok(mark), Ok(cancel)]) if (mark.revision, cancel.revision) == (3, 5) => Ok(()),
        _ => Err(format!("{status:?}, answers {outcomes:?}")),
    }
}

/// A session is deleted, and another one stored in its place, which this server does not know. A command that would
/// change nothing in the first one is not carried out on the second, and its id is not stored with it.
fn nothing_to_change() -> Result<(), String> {
    for command_id in [None, Some("second")] {
        let mut stage = Stage::new();
        stage.create();
        stage.spawn(|hub| async move { hub.execute(mark()).await });
        stage.pass(50);
        stage.outcomes();
        {
            let mut world = stage.world.lock();
            let now = world.now;
            world.database.replace(ID, FOREIGN, now);
        }
        let again = Submission { command_id: command_id.map(Arc::from), ..mark() };
        stage.spawn(|hub| async move { hub.execute(again).await });
        stage.pass(50);
        stage.check()?;
        let (ids, outcomes) = (stage.stored(|row| row.commands.len())?, stage.outcomes());
        if (ids, &outcomes[..]) != (0, &[Err(HubError::Unavailable)]) {
            return Err(format!("{command_id:?}: {ids} ids, answers {outcomes:?}"));
        }
    }
    Ok(())
}

/// Another server has changed what a command would set, which this one does not know: it is set again.
fn changed_back() -> Result<(), String> {
    let mut stage = Stage::new();
    stage.create();
    stage.spawn(|hub| async move { hub.execute(mark()).await });
    stage.pass(50);
    stage.outcomes();
    let event = Happened::ContextSet { key: "mark".to_owned(), value: Arc::new(json!(2)) };
    stage.world.lock().foreign_write(ID, event);
    stage.spawn(|hub| async move { hub.execute(mark()).await });
    stage.pass(50);
    match &stage.outcomes()[..] {
        [Ok(receipt)] if receipt.revision == 5 => Ok(()),
        answers => Err(format!("answers {answers:?}")),
    }
}

/// What is stored is looked at when a session was deleted, and no other one was made under its id yet. The answer
/// comes when there is one.
fn old_look() -> Result<(), String> {
    let mut stage = Stage::with(Duration::from_secs(1));
    stage.create();
    stage.pass(940);
    stage.arrange("revisions", Arranged { late: 100, answer: 300, ..Arranged::default() });
    stage.pass(20);
    stage.spawn(|hub| async move {
        hub.delete(ID, None).await?;
        Err(HubError::Unavailable)
    });
    stage.pass(130);
    stage.create();
    stage.held()?;
    stage.pass(400);
    stage.held().map(drop)
}

/// A run of one node.
fn one_node() -> Created {
    let graph = json!({"name": "a graph", "startNodeId": "start", "nodes": {
        "start": {"id": "start", "type": "start", "name": "start", "nextIds": ["work"]},
        "work": {"id": "work", "type": "flaky", "name": "work", "nextIds": ["end"], "properties": {"x-millis": 50}},
        "end": {"id": "end", "type": "end", "name": "end"},
    }});
    let graph = serde_json::from_value(graph).expect("a graph");
    Created { graph: Some(Arc::new(graph)), driver: Driver::Builtin, ..Created::default() }
}

/// An engine reports to a session that was deleted, and another one that came to the same revision is stored under
/// its id.
fn report_to_another() -> Result<(), String> {
    let mut stage = Stage::new();
    stage.create();
    stage.outcomes();
    let world = Arc::clone(&stage.world);
    stage.spawn(|hub| async move {
        let (link, _events) = LocalLink::open(hub, ID, CancellationToken::new()).await?;
        {
            let mut world = world.lock();
            let now = world.now;
            world.database.replace(ID, FOREIGN, now);
        }
        let report = json!({"type": "setNodeStatus", "nodeId": "work", "status": "running"});
        let report = serde_json::from_value(report).map_err(|_| HubError::Internal)?;
        link.send(vec![report])
            .await
            .map_or(Err(HubError::NotFound), |()| Ok(Receipt { revision: 0, duplicate: false }))
    });
    stage.pass(1_000);
    match (stage.stored(Row::revision)?, &stage.outcomes()[..]) {
        (2, [Err(HubError::NotFound)]) => Ok(()),
        (revision, answers) => Err(format!("revision {revision}, answers {answers:?}")),
    }
}

/// A run is paused and resumed by others just before its engine asks for its end. The engine hears of both from the
/// journal, because its server had to read the session anew, and shows the pause only.
fn early_resumption() -> Result<(), String> {
    let mut stage = Stage::with(Duration::from_secs(2));
    stage.create_as(one_node());
    let has_ended = |row: &Row| row.state().node_status(&"end".into()) == Some(NodeStatus::Completed);
    for _ in 0..2_000 {
        stage.pass(1);
        if stage.stored(has_ended)? {
            break;
        }
    }
    // What the run asks for now is refused. First the reason is read, and a little later what the run has missed.
    stage.world.lock().foreign_pause(ID);
    let resume = |world: &mut World| world.foreign_pause(ID);
    stage.arrange("events", Arranged { skip: 1, late: 20, before: Some(Box::new(resume)), ..Arranged::default() });
    stage.pass(15);
    let paused = stage.stored(|row| row.state().status)?;
    stage.pass(20_000);
    stage.check()?;
    match (paused, stage.stored(|row| row.state().status)?) {
        (SessionStatus::Paused, SessionStatus::Completed) => Ok(()),
        status => Err(format!("{status:?}")),
    }
}
