//! Sequences that a seed rarely leads to: written down, and run before the seeds.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relive::engine::EngineOptions;
use relive::hub::{CommandResult, CreateOptions, Hub, HubError, HubOptions, Submission};
use relive_session::{Command, Created, Event as Happened, SessionId};
use serde_json::json;
use uuid::Uuid;

use crate::chance::Chance;
use crate::clients::Clients;
use crate::server::{Server, Size};
use crate::world::{Event, Odds, Shared, World};

const ID: SessionId = SessionId(Uuid::from_u128(7));

/// What is wrong, with the name of the scenario.
pub fn all() -> Vec<String> {
    type Scenario = (&'static str, fn() -> Result<(), String>);
    let scenarios: [Scenario; 2] =
        [("a write that lands late", lands_late), ("a report about another session", another_session)];
    scenarios.into_iter().filter_map(|(name, run)| Some(format!("scenario '{name}': {}", run().err()?))).collect()
}

/// One server, and nothing breaks by itself.
struct Stage {
    world: Shared,
    server: Server,
    outcomes: Arc<Mutex<Vec<CommandResult>>>,
}

impl Stage {
    fn new() -> Self {
        let world = World::new(Chance::new(7), Odds::default(), 1, Clients::default(), false);
        let (world, mut server) = (Arc::new(Mutex::new(world)), Server::new(0));
        let hub = HubOptions { lanes: 1, check_every: Duration::from_hours(1), ..HubOptions::default() };
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
        self.spawn(|hub| async move {
            hub.create(ID, Created::default(), CreateOptions::default()).await?;
            hub.execute(Submission::new(ID, vec![Command::Start])).await
        });
        self.pass(50);
    }

    fn outcomes(&self) -> Vec<CommandResult> {
        std::mem::take(&mut self.outcomes.lock())
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
    stage.world.lock().late_write = Some(6_010);
    stage.spawn(|hub| async move { hub.execute(mark()).await });
    stage.pass(6_011);
    stage.spawn(|hub| async move {
        hub.refresh(ID, 3).await?;
        Err(HubError::Unavailable)
    });
    stage.pass(3_000);
    let world = stage.world.lock();
    let row = world.database.rows.get(&ID).ok_or("the session is not stored")?;
    let is_mark = |event: &Happened| matches!(event, Happened::ContextSet { key, .. } if key == "mark");
    match row.journal.iter().filter(|stored| is_mark(&stored.recorded.event)).count() {
        1 => Ok(()),
        times => Err(format!("carried out {times} times, answers {:?}", stage.outcomes())),
    }
}

/// A command for a session that was deleted, and another one made under its id at the same moment.
fn another_session() -> Result<(), String> {
    let mut stage = Stage::new();
    stage.create();
    let first = stage.server.hub().and_then(|hub| hub.held(ID)).ok_or("not in memory")?;
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
    let second = stage.server.hub().and_then(|hub| hub.held(ID)).ok_or("not in memory")?;
    if second.origin.created_at != first.origin.created_at {
        return Err("not created in the same millisecond".to_owned());
    }
    let meant =
        |session: &relive_session::Session| Submission { expected_identity: Some(session.identity()), ..mark() };
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
