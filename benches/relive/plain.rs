//! What the write path is held against: the plain way, and the most the database does.

use std::process::Command;
use std::time::Instant;

use relive::storage::{Batch, EventRow, NewSession, ProjectionRow, Storage, Writer};
use relive_session::{
    self, Command as SessionCommand, Created, Event, GraphDefinition, NodeStatus, Recorded, Session, SessionId,
    Timestamp,
};

use tempfile::NamedTempFile;

use super::support::Server;

/// One `UPDATE` for each change, committed on its own, from many clients of PostgreSQL's own load
/// generator; a driver in any language would reach less. On the same table with the same indexes.
pub struct Plain {
    pgbench: Command,
    /// Removed with this.
    _script: NamedTempFile,
}

const SECONDS: &str = "3";
const INSERT: &str = "INSERT INTO sessions (id, status, driver, revision, node_statuses, created_at, updated_at)
VALUES (gen_random_uuid(), 'pending', 'external', 1, '{\"n0\": \"pending\", \"n1\": \"pending\"}', now(), now());
";
const UPDATE: &str = "\\set n random(0, 19)
\\set id random(1, :rows)
UPDATE sessions SET node_statuses = node_statuses || jsonb_build_object('n' || :n::int, 'running'), updated_at = now()
WHERE id = ('00000000-0000-0000-0000-' || lpad((:id::int)::text, 12, '0'))::uuid;
";

impl Plain {
    /// Over this many rows, in a new database of this name.
    pub fn new(server: &Server, name: &str, rows: usize) -> Self {
        let storage = server.database(name);
        let insert = format!(
            "INSERT INTO sessions (id, status, driver, revision, node_statuses, created_at, updated_at)
             SELECT ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, 'running', 'external', 1,
                    (SELECT jsonb_object_agg('n' || n, 'pending') FROM generate_series(0, 19) n), now(), now()
             FROM generate_series(1, {rows}) i"
        );
        let filled = async { sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(storage.pool()).await };
        server.runtime.block_on(filled).expect("rows");
        let script = NamedTempFile::new().expect("a file");
        std::fs::write(script.path(), UPDATE).expect("a script");
        Self::with_script(server, name, rows, script)
    }

    /// Creations of sessions in place of updates: one `INSERT` each, of a row as the server stores it.
    pub fn inserting(server: &Server, name: &str) -> Self {
        server.database(name);
        let script = NamedTempFile::new().expect("a file");
        std::fs::write(script.path(), INSERT).expect("a script");
        Self::with_script(server, name, 0, script)
    }

    fn with_script(server: &Server, name: &str, rows: usize, script: NamedTempFile) -> Self {
        let mut pgbench = Command::new(server.postgres_bin().join("pgbench"));
        pgbench.args(["-n", "-M", "prepared", "-T", SECONDS, "-U", "postgres", "-D", &format!("rows={rows}")]);
        pgbench.arg("-f").arg(script.path()).arg("-h").arg(server.postgres_socket()).arg(name);
        Self { pgbench, _script: script }
    }

    /// Updates per second at the number of clients that does best, and that number.
    pub fn best(&self) -> (f64, u32) {
        let results = [1, 4, 16, 64].map(|clients| (self.updates_per_second(clients), clients));
        results.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("four of them")
    }

    /// With this many clients.
    pub fn updates_per_second(&self, clients: u32) -> f64 {
        let mut pgbench = Command::new(self.pgbench.get_program());
        pgbench.args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string()]).args(self.pgbench.get_args());
        let output = pgbench.output().expect("pgbench");
        let text = String::from_utf8_lossy(&output.stdout);
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        tps.unwrap_or_else(|| panic!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

const WRITERS: usize = 4;
/// Sessions of one writer, as many as a lane has in the run over WebSocket.
const SESSIONS: usize = 8;
const BATCH: usize = 1_024;
const BATCHES: usize = 40;

/// The same rows by the server's own statement, made beforehand: what PostgreSQL takes at most.
pub struct Ceiling {
    storage: Storage,
    /// The sessions of each writer, as they stand.
    sessions: Vec<Vec<Session>>,
    next_batch: i64,
}

/// One commit: its events, and its sessions before and after it.
type Prepared = (Vec<Recorded>, Vec<(Session, Session)>);

impl Ceiling {
    pub fn new(server: &Server) -> Self {
        let storage = server.database("ceiling");
        let nodes: serde_json::Map<_, _> = (0..20)
            .map(|n| {
                let next: Vec<String> = (n + 1..20).take(1).map(|n| format!("n{n}")).collect();
                let id = format!("n{n}");
                (id.clone(), serde_json::json!({"id": id, "type": "agent", "name": id, "nextIds": next}))
            })
            .collect();
        let graph = serde_json::json!({"name": "bench", "startNodeId": "n0", "nodes": nodes});
        let graph: GraphDefinition = serde_json::from_value(graph).expect("a graph");
        let create = async || {
            let created = Created { graph: Some(graph.clone().into()), ..Created::default() };
            let event = Event::Created(Box::new(created));
            let recorded =
                Recorded { session_id: SessionId::generate(), revision: 1, at: Timestamp::now(), by: None, event };
            let session = Session::create(&recorded).expect("a session");
            let new = NewSession { recorded: &recorded, session: &session, creation_key: None };
            storage.create_session(&new).await.expect("stored");
            session
        };
        let sessions = server.runtime.block_on(async {
            let mut sessions = Vec::new();
            for _ in 0..WRITERS {
                let mut own = Vec::new();
                for _ in 0..SESSIONS {
                    own.push(create().await);
                }
                sessions.push(own);
            }
            sessions
        });
        Self { storage, sessions, next_batch: 1 }
    }

    pub fn rows_per_second(&mut self, server: &Server) -> f64 {
        let prepared: Vec<Vec<Prepared>> =
            self.sessions.iter_mut().map(|sessions| (0..BATCHES).map(|_| prepare(sessions)).collect()).collect();
        let rows: usize = prepared.iter().flatten().map(|(events, _)| events.len()).sum();
        let seconds = server.runtime.block_on(async {
            let mut writers = Vec::new();
            for _ in 0..WRITERS {
                writers.push(self.storage.writer().await.expect("a connection"));
            }
            let started = Instant::now();
            let mut writing = Vec::new();
            for (writer, batches) in writers.into_iter().zip(prepared) {
                writing.push(tokio::spawn(write(writer, batches, self.next_batch)));
                self.next_batch += BATCHES as i64;
            }
            for writing in writing {
                writing.await.expect("written");
            }
            started.elapsed().as_secs_f64()
        });
        rows as f64 / seconds
    }
}

/// As the server would: the commands of all sessions in turn, decided and applied.
fn prepare(sessions: &mut [Session]) -> Prepared {
    let before = sessions.to_vec();
    let mut events = Vec::with_capacity(BATCH);
    while events.len() < BATCH {
        for session in &mut *sessions {
            // The first change starts the session; then each node runs and completes in turn.
            let step = session.revision.saturating_sub(2);
            let command = match session.revision {
                1 => SessionCommand::Start,
                _ => SessionCommand::SetNodeStatus {
                    node_id: format!("n{}", step % 20).into(),
                    status: if step / 20 % 2 == 0 { NodeStatus::Running } else { NodeStatus::Completed },
                    name: None,
                    node_type: None,
                    progress: None,
                    error: None,
                    output: None,
                    retry: None,
                    input: None,
                    next_ids: None,
                    parent_node_id: None,
                    kind: None,
                    attributes: None,
                    started_at: None,
                    completed_at: None,
                },
            };
            for event in relive_session::decide(session, &command).expect("accepted") {
                let (session_id, revision, at) = (session.id, session.revision + 1, Timestamp::now());
                let recorded = Recorded { session_id, revision, at, by: None, event };
                session.apply(&recorded).expect("the next event");
                events.push(recorded);
            }
        }
    }
    (events, before.into_iter().zip(sessions.to_vec()).collect())
}

async fn write(mut writer: Writer, batches: Vec<Prepared>, first_id: i64) {
    for (id, (events, sessions)) in (first_id..).zip(&batches) {
        let events = events.iter().map(EventRow::from).collect();
        let projections = sessions.iter().map(|(before, after)| ProjectionRow { before, after }).collect();
        let batch = Batch { id, events, projections, ..Batch::default() };
        writer.write(&batch).await.expect("written");
    }
}
