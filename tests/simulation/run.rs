//! One run: servers, clients and faults from a seed, then calm, then whether all has come to rest as it
//! should.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relive::engine::EngineOptions;
use relive::hub::HubOptions;
use relive_session::{Created, Driver, Node, NodeId, Session, SessionId, SessionStatus};
use uuid::Uuid;

use crate::chance::Chance;
use crate::clients::{self, Act, Clients, Known, State, Viewer, What};
use crate::database::{Row, Stored};
use crate::nodes;
use crate::server::{Server, Size};
use crate::viewers;
use crate::world::{Event, Odds, Shared, World};

/// How long after the last fault everything may take to come to rest.
const REST: u64 = 400_000;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    pub hash: u64,
    pub wrong: Vec<String>,
    /// Of the world's clock.
    pub millis: u64,
    pub commits: u64,
}

pub struct Run {
    world: Shared,
    servers: Vec<Server>,
    size: Size,
    /// How far behind a server's clock may be that nothing has come for.
    slack: u64,
    calm_from: u64,
}

pub fn run(seed: u64, shows: bool) -> Report {
    let mut run = Run::new(seed, shows);
    run.go();
    let wrong = run.world.lock().wrong.is_empty();
    if wrong {
        run.world.lock().check_history();
    }
    if shows {
        run.world.lock().tell_histories();
    }
    run.servers.iter_mut().for_each(Server::kill);
    let mut world = run.world.lock();
    let commits = world.database.rows.values().map(Row::revision).sum();
    let report = Report { hash: world.hash, wrong: std::mem::take(&mut world.wrong), millis: world.now, commits };
    // Statements on their way hold the world, and it them.
    while world.pop().is_some() {}
    world.listeners.clear();
    report
}

fn odds(chance: &mut Chance) -> Odds {
    let mut odds = Odds { latency: chance.pick(&[1, 3, 8, 40]), ..Odds::default() };
    let some = |chance: &mut Chance| chance.pick(&[0, 0, 5, 20, 80]);
    odds.lost_answer = some(chance);
    odds.refused = some(chance);
    odds.delayed = some(chance) / 2;
    odds.hangs = some(chance) / 4;
    odds.notice_lost = chance.pick(&[0, 0, 50, 300]);
    odds.notice_doubled = chance.pick(&[0, 0, 100]);
    odds.notice_late = chance.pick(&[0, 100, 500]);
    odds
}

impl Run {
    fn new(seed: u64, shows: bool) -> Self {
        let mut chance = Chance::new(seed);
        let servers = if chance.per_mille(150) { 1 } else { usize::try_from(chance.between(2, 3)).unwrap_or(2) };
        let seconds = Duration::from_secs;
        let size = Size {
            hub: HubOptions {
                lanes: chance.index(2) + 1,
                backlog: chance.pick(&[4, 64]),
                idle_after: seconds(chance.between(1, 6)),
                check_every: seconds(chance.between(2, 6)),
                ..HubOptions::default()
            },
            engine: EngineOptions {
                lease: seconds(chance.between(2, 5)),
                park_after: seconds(chance.between(1, 3)),
                ..EngineOptions::default()
            },
        };
        let (slack, calm_from) = (chance.pick(&[5, 20, 60]), chance.between(3_000, 14_000));
        let odds = odds(&mut chance);
        let deletions = chance.pick(&[1, 1, 1, 1, 1, 10]);
        let mut clients = Clients { deletions, ..Clients::default() };
        for number in 0..chance.between(1, 3) {
            let external = chance.per_mille(250);
            let (graph, fails) = nodes::graph(&mut chance);
            let driver = if external { Driver::External } else { Driver::Builtin };
            let created = Created { graph: Some(Arc::new(graph)), driver, ..Created::default() };
            let id = SessionId(Uuid::from_u128(u128::from(seed) << 8 | u128::from(number)));
            clients.sessions.push(Known {
                id,
                created,
                fails,
                is_there: false,
                ended_by_client: false,
                deleted: false,
            });
            for _ in 0..chance.between(1, 2) {
                let session = clients.sessions.len() - 1;
                let wants_events = chance.per_mille(500);
                clients.viewers.push(Viewer {
                    session,
                    wants_events,
                    identity: None,
                    cursor: 0,
                    shown: 0,
                    is_connected: false,
                    saw_deletion: false,
                });
            }
        }
        let world = World::new(chance.branch(), odds, servers, clients, shows);
        let servers = (0..servers).map(Server::new).collect();
        let mut run = Self { world: Arc::new(Mutex::new(world)), servers, size, slack, calm_from };
        run.plan(&mut chance);
        run
    }

    /// When what breaks.
    fn plan(&mut self, chance: &mut Chance) {
        let servers = self.servers.len();
        for server in 0..servers {
            let at = chance.below(50);
            self.world.lock().schedule(at, Event::Restart { server });
        }
        let mut world = self.world.lock();
        let (sessions, viewers) = (world.clients.sessions.len(), world.clients.viewers.len());
        for session in 0..sessions {
            world.ask(session, What::Create, None, true);
        }
        for viewer in 0..viewers {
            world.act(chance.below(2_000), Act::View { viewer });
        }
        world.act(200, Act::Look);
        for _ in 0..chance.below(9) {
            let (at, server) = (chance.between(200, self.calm_from), chance.index(servers));
            let long = |chance: &mut Chance, most| chance.between(50, most);
            let everywhere = chance.per_mille(300);
            let event = match chance.below(13) {
                0 | 1 => Event::Kill { server, down: long(chance, 6_000) },
                2 => Event::Shutdown { server, down: long(chance, 2_000) },
                3 | 4 => Event::Stall { server, until: at + long(chance, 9_000) },
                5 => {
                    let by = chance.pick(&[-3_600_000, -5_000, 700, 3_600_000]);
                    Event::Jump { server, by }
                }
                6 => {
                    let silently = chance.per_mille(400);
                    let server = (!everywhere).then_some(server);
                    Event::Do(Box::new(move |world| world.cut_notices(server, silently)))
                }
                7 | 8 => {
                    let (until, silent) = (at + long(chance, 6_000), chance.per_mille(400));
                    let server = (!everywhere).then_some(server);
                    Event::Do(Box::new(move |world| world.cut(server, until, silent)))
                }
                9 => {
                    let until = at + long(chance, 4_000);
                    Event::Do(Box::new(move |world| world.lines[server].unreadable_until = until))
                }
                10 => {
                    let until = at + long(chance, 8_000);
                    Event::Do(Box::new(move |world| world.lines[server].slow_until = until))
                }
                _ => {
                    let id = world.clients.sessions[chance.index(sessions)].id;
                    if chance.per_mille(300) {
                        let again = at + chance.between(1, 60);
                        world.schedule(again, Event::Do(Box::new(move |world| world.foreign_pause(id))));
                        Event::Do(Box::new(move |world| world.foreign_pause(id)))
                    } else {
                        let (key, value) = (format!("foreign{at}"), Arc::new(serde_json::json!(at)));
                        let set = relive_session::Event::ContextSet { key, value };
                        Event::Do(Box::new(move |world| world.foreign_write(id, set)))
                    }
                }
            };
            world.schedule(at, event);
        }
    }

    fn go(&mut self) {
        let mut next_check = self.calm_from + 500;
        let mut is_calm = false;
        loop {
            let now = {
                let mut world = self.world.lock();
                let latest = world.now + if is_calm { 4 * self.slack } else { self.slack };
                world.now = world.next_at().unwrap_or(latest).clamp(world.now, latest);
                world.now
            };
            if now >= self.calm_from && !is_calm {
                is_calm = true;
                self.calm_down();
            }
            self.handle_due();
            self.run_servers(now);
            if !self.world.lock().wrong.is_empty() {
                return;
            }
            if is_calm && now >= next_check {
                next_check = now + 500;
                let unrest = self.world.lock().unrest();
                match unrest {
                    None => return,
                    Some(unrest) if now > self.calm_from + REST => {
                        return self.world.lock().wrong(format!("it does not come to rest: {unrest}"));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    fn run_servers(&mut self, now: u64) {
        for server in &mut self.servers {
            let number = server.process.server;
            if server.stalled_until > now || !server.is_up() {
                continue;
            }
            let woken = std::mem::take(&mut self.world.lock().lines[number].woken);
            if woken || server.lag(now) >= self.slack {
                server.run_to(now);
                self.world.lock().schedule_fallen();
            }
        }
    }

    /// From now on nothing breaks.
    fn calm_down(&mut self) {
        let mut world = self.world.lock();
        world.note("calm", &[], String::new);
        world.odds = Odds { latency: world.odds.latency, ..Odds::default() };
        world.clients.calm = true;
        for line in &mut world.lines {
            line.cut_until = 0;
            line.unreadable_until = 0;
            line.slow_until = 0;
        }
        for server in &mut self.servers {
            server.stalled_until = server.stalled_until.min(world.now);
            if !server.is_up() {
                let at = world.now;
                world.schedule(at, Event::Restart { server: server.process.server });
            }
        }
    }

    fn handle_due(&mut self) {
        loop {
            let event = self.world.lock().take_due();
            let Some(event) = event else { return };
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        let is_calm = self.world.lock().clients.calm;
        match event {
            Event::Do(action) => action(&mut self.world.lock()),
            Event::Client(act) => self.client(act),
            Event::Restart { server } => {
                if !self.servers[server].is_up() {
                    self.servers[server].start(&self.world, &self.size);
                    let mut world = self.world.lock();
                    world.lines[server].woken = true;
                    world.note("start", &[server as u64], String::new);
                }
            }
            Event::Kill { server, down } if !is_calm => self.kill(server, down),
            Event::Gone { server, life, down } if self.servers[server].process.life == life => self.kill(server, down),
            Event::Shutdown { server, down } if !is_calm => {
                let (world, life) = (Arc::clone(&self.world), self.servers[server].process.life);
                self.world.lock().note("shutdown", &[server as u64], String::new);
                self.servers[server].shut_down(move || {
                    let mut world = world.lock();
                    let now = world.now;
                    world.schedule(now, Event::Gone { server, life, down });
                });
            }
            Event::Stall { server, until } if !is_calm && self.servers[server].is_up() => {
                self.world.lock().note("stall", &[server as u64, until], String::new);
                self.servers[server].stalled_until = until;
            }
            Event::Jump { server, by } if !is_calm => {
                let mut world = self.world.lock();
                world.note("jump", &[server as u64, by.cast_unsigned()], || by.to_string());
                world.jumped |= by.abs() > 60_000;
                drop(world);
                self.servers[server].jump(by);
            }
            Event::Kill { .. }
            | Event::Gone { .. }
            | Event::Shutdown { .. }
            | Event::Stall { .. }
            | Event::Jump { .. } => {}
        }
    }

    fn kill(&mut self, server: usize, down: u64) {
        self.world.lock().note("kill", &[server as u64], String::new);
        self.servers[server].kill();
        let mut world = self.world.lock();
        world.schedule_fallen();
        let at = world.now + if world.clients.calm { 0 } else { down };
        world.schedule(at, Event::Restart { server });
    }

    fn client(&mut self, act: Act) {
        match act {
            Act::Think { session } => self.world.lock().think(session),
            Act::Look => self.world.lock().look(),
            Act::Heard { request, attempt } => self.world.lock().heard(request, attempt, false),
            Act::Lost { request, attempt } => self.world.lock().heard(request, attempt, true),
            Act::Send { request } => match self.some_server() {
                Some(server) => {
                    let hub = self.servers[server].hub().cloned();
                    let Some(hub) = hub else { return };
                    let sending = clients::send(&self.world, request, hub);
                    self.servers[server].spawn(sending);
                    self.world.lock().lines[server].woken = true;
                }
                None => self.world.lock().act(200, act),
            },
            Act::View { viewer } => match self.some_server() {
                Some(server) => {
                    let hub = self.servers[server].hub().cloned();
                    let Some(hub) = hub else { return };
                    let viewing = viewers::view(&self.world, viewer, hub);
                    self.servers[server].spawn(viewing);
                    self.world.lock().lines[server].woken = true;
                }
                None => self.world.lock().act(200, act),
            },
        }
    }

    fn some_server(&self) -> Option<usize> {
        let up: Vec<usize> = (0..self.servers.len()).filter(|server| self.servers[*server].is_up()).collect();
        if up.is_empty() { None } else { Some(up[self.world.lock().chance.index(up.len())]) }
    }
}

impl World {
    fn cut(&mut self, server: Option<usize>, until: u64, silent: bool) {
        for (number, line) in self.lines.iter_mut().enumerate() {
            if server.is_none_or(|server| server == number) {
                (line.cut_until, line.silent) = (until, silent);
            }
        }
        self.note("cut", &[until], || format!("{server:?}, silent: {silent}"));
        if !silent {
            self.cut_notices(server, false);
        }
    }

    /// What has not come to rest.
    fn unrest(&self) -> Option<String> {
        let clients = &self.clients;
        if let Some(number) = clients.requests.iter().position(|request| request.state == State::Open) {
            return Some(format!("request {number} is not answered: {:?}", clients.requests[number]));
        }
        for known in &clients.sessions {
            let Some(row) = self.database.rows.get(&known.id) else { continue };
            let state = row.state();
            if known.created.driver == Driver::Builtin && !state.status.is_ended() {
                // Stored again by a statement that came late, after it was deleted: nobody starts it.
                if state.status == SessionStatus::Pending && self.database.deleted.contains_key(&known.id) {
                    continue;
                }
                // Times that were recorded with one clock are waited for with another.
                if self.jumped && waits_for_a_time(known, state) {
                    continue;
                }
                let nodes: Vec<_> = state.active.iter().map(|id| (id, state.node_status(id))).collect();
                return Some(format!("{} is {:?} at {}, with {nodes:?}", known.id, state.status, state.revision));
            }
            let lease = self.database.leases.get(&known.id);
            if state.status.is_ended()
                && lease.is_some_and(|lease| lease.holder.is_some() && lease.expires_at >= self.now)
            {
                return Some(format!("{} has ended, and is held: {lease:?}", known.id));
            }
        }
        for (number, viewer) in clients.viewers.iter().enumerate() {
            let known = &clients.sessions[viewer.session];
            let newest = match self.database.rows.get(&known.id) {
                Some(_) if viewer.saw_deletion => continue,
                Some(row) => row.revision(),
                None if viewer.saw_deletion || !self.database.deleted.contains_key(&known.id) => continue,
                None => return Some(format!("viewer {number} was not told that {} is deleted", known.id)),
            };
            if viewer.shown != newest || (viewer.wants_events && viewer.cursor != newest) {
                return Some(format!("viewer {number} is behind {newest}: {viewer:?}"));
            }
        }
        None
    }

    /// Every session's graph and journal, for whoever reads a trace.
    fn tell_histories(&self) {
        for known in &self.clients.sessions {
            println!("{} fails: {}", known.id, known.fails);
            let nodes = known.created.graph.iter().flat_map(|graph| graph.nodes.values());
            nodes.for_each(|node| {
                println!(
                    "    {} ({}) to {:?}: {}",
                    node.id,
                    node.kind,
                    node.next_ids,
                    serde_json::json!(node.properties)
                );
            });
            for stored in self.database.rows_of(known.id).flat_map(|row| &row.journal) {
                let Stored { recorded, committed, by, .. } = stored;
                let event = match &recorded.event {
                    relive_session::Event::Created(_) => "created".to_owned(),
                    event => serde_json::to_string(event).unwrap_or_default(),
                };
                println!("    {:>4} at {committed} ms by {}.{}: {event}", recorded.revision, by.server, by.life);
            }
        }
    }

    /// What can be said only at the end.
    fn check_history(&mut self) {
        let mut wrong = Vec::new();
        for (number, request) in self.clients.requests.iter().enumerate() {
            if matches!(request.what, What::Create | What::Delete | What::Set) {
                continue;
            }
            let key = format!("request{number}");
            let marks_in = |row: &Row| -> Vec<u64> {
                let events = row.journal.iter().filter(|stored| {
                    matches!(&stored.recorded.event, relive_session::Event::ContextSet { key: set, .. } if *set == key)
                });
                events.map(|stored| stored.committed).collect()
            };
            // Of a deleted session there is nothing to be asked any more.
            let is_stored = self.database.rows.contains_key(&self.clients.sessions[request.session].id);
            let was_done = self.clients.rows(&self.database, request.session).any(|row| !marks_in(row).is_empty());
            let marks = self.clients.rows(&self.database, request.session).next().map(marks_in).unwrap_or_default();
            let refused_late = request.state == State::Refused
                && marks
                    .first()
                    .is_some_and(|committed| request.attempts.last().is_some_and(|last| last.sent > *committed));
            let refused_early = request.attempts.first().is_some_and(|attempt| {
                attempt.answer.is_some() && marks.first().is_some_and(|committed| *committed > attempt.answered + 100)
            });
            let problem = match (request.state, marks.len()) {
                (State::Done, 0) if !was_done => Some("was acknowledged and is lost".to_owned()),
                (_, 2..) => Some(format!("was carried out {} times", marks.len())),
                (State::Unknown, 1) if refused_early => {
                    Some("was answered as unavailable, and carried out afterwards".to_owned())
                }
                (State::Refused, 1) if is_stored && request.attempts.len() == 1 => {
                    Some("was refused and carried out".to_owned())
                }
                (State::Refused, 1) if is_stored && refused_late && request.command_id.is_some() => {
                    Some("had been carried out, and was refused when it was sent again".to_owned())
                }
                _ => None,
            };
            wrong.extend(problem.map(|problem| format!("request {number} ({:?}) {problem}", request.what)));
        }
        for known in self.clients.sessions.iter().filter(|known| known.created.driver == Driver::Builtin) {
            if let Some(row) = self.database.rows.get(&known.id).filter(|row| row.state().status.is_ended()) {
                wrong.extend(check_run(known, row));
            }
        }
        wrong.into_iter().for_each(|wrong| self.wrong(wrong));
    }
}

/// Whether a run waits for nothing but a delay or the time of a further attempt.
fn waits_for_a_time(known: &Known, state: &Session) -> bool {
    let kind = |id: &NodeId| known.created.graph.as_ref().and_then(|graph| graph.nodes.get(id)).map(|node| &*node.kind);
    let is_due_later = |node: &Arc<Node>| node.snapshot.retry.is_some_and(|retry| retry.due_at.is_some());
    let waits = !state.active.is_empty() || state.nodes.values().any(is_due_later);
    waits && state.active.iter().all(|id| kind(id) == Some("delay"))
}

/// Whether a run came to the end that its graph leads to, with as many attempts as it says.
fn check_run(known: &Known, row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    let state = row.state();
    let expected = if known.fails { SessionStatus::Failed } else { SessionStatus::Completed };
    // One that has taken servers down with it several times is not tried any more.
    let is_given_up = state.error.as_deref().is_some_and(|error| error.contains("server") && error.contains("times"));
    if state.status != expected && !known.ended_by_client && !is_given_up {
        wrong.push(format!("{} is {:?} and not {expected:?}: {:?}", known.id, state.status, state.error));
    }
    let graph = known.created.graph.as_ref().expect("a graph");
    for node in graph.nodes.values().filter(|node| node.kind == "flaky") {
        let number = |name: &str| node.properties.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let most = number("x-fails").min(number("retries") + 1);
        for (failures, completed) in rounds(row, &node.id) {
            if failures > most || (completed && failures != number("x-fails")) {
                wrong.push(format!(
                    "'{}' of {} failed {failures} times in a round, and {} with {} retries is right",
                    node.id,
                    known.id,
                    number("x-fails"),
                    number("retries")
                ));
            }
        }
    }
    wrong
}

/// Of each round of a node: how often it failed, other than by being cut off, and whether it completed.
fn rounds(row: &Row, node: &NodeId) -> Vec<(u64, bool)> {
    use relive_session::{Event, NodeStatus};
    let (mut rounds, mut failures) = (Vec::new(), 0);
    for stored in &row.journal {
        let Event::NodeStatusChanged { node_id, status, error, .. } = &stored.recorded.event else { continue };
        match status {
            _ if node_id != node => {}
            NodeStatus::Completed => rounds.push((std::mem::take(&mut failures), true)),
            NodeStatus::Failed if error.as_deref().is_some_and(|error| error.starts_with("fault")) => failures += 1,
            _ => {}
        }
    }
    rounds.push((failures, false));
    rounds
}
