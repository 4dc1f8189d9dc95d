//! What one change costs, by size of the graph: bytes to a viewer in delta mode, and CPU. A change
//! must not cost more because the graph around it is larger.

use std::time::Duration;

use super::support::{Server, Table};
use super::websocket::{self, Client};

const NODES: [usize; 4] = [10, 100, 1_000, 5_000];
/// Changes of one graph in one turn; the graphs take turns, so that all meet the same machine.
const TURN: usize = 500;
const TURNS: usize = 6;

pub fn run(server: &Server, table: &mut Table) {
    let mut graphs: Vec<Graph> = NODES.map(|nodes| Graph::new(server, nodes)).into();
    for graph in &mut graphs {
        graph.change(100);
        (graph.changes, graph.viewer.frames.state_bytes) = (0, 0);
    }
    for _ in 0..TURNS {
        for graph in &mut graphs {
            let before = (server.cpu(), server.postgres_cpu());
            graph.change(TURN);
            graph.cpu += server.cpu() - before.0;
            graph.postgres_cpu += server.postgres_cpu() - before.1;
        }
    }
    for graph in &graphs {
        table.row(
            &format!("delta: a change in a graph of {}", graph.nodes),
            format!("{:.0} B", graph.viewer.frames.state_bytes as f64 / graph.changes as f64),
            format!("{} B as a snapshot", graph.snapshot_bytes),
            "-".to_owned(),
            "under 400 B",
        );
    }
    let smallest = graphs[0].micros(graphs[0].cpu);
    for graph in &graphs {
        table.row(
            &format!("delta: server CPU for a change, graph of {}", graph.nodes),
            format!("{:.0} µs", graph.micros(graph.cpu)),
            format!("{smallest:.0} µs, graph of {}", NODES[0]),
            format!("{:.2}x", graph.micros(graph.cpu) / smallest),
            "at most 3x",
        );
    }
    let postgres = graphs.iter().map(|graph| format!("{:.0} ({})", graph.micros(graph.postgres_cpu), graph.nodes));
    let postgres: Vec<String> = postgres.collect();
    table.note(format!("PostgreSQL's CPU for a single change, µs (graph): {}", postgres.join(", ")));
}

/// A session with a driver, one command at a time, and a viewer in delta mode.
struct Graph {
    nodes: usize,
    session: String,
    driver: Client,
    viewer: Client,
    snapshot_bytes: u64,
    next: usize,
    changes: u64,
    cpu: Duration,
    postgres_cpu: Duration,
}

impl Graph {
    fn new(server: &Server, nodes: usize) -> Self {
        let session = server.session(nodes);
        let path = format!("/ws/sessions/{session}?mode=delta");
        let mut viewer = Client::new(websocket::open(server.address, &path));
        viewer.wait_for_states(1);
        let snapshot_bytes = viewer.frames.state_bytes;
        let driver = Client::new(websocket::open(server.address, "/ws"));
        let (cpu, postgres_cpu) = (Duration::ZERO, Duration::ZERO);
        Self { nodes, session, driver, viewer, snapshot_bytes, next: 0, changes: 0, cpu, postgres_cpu }
    }

    /// Makes changes one by one, each seen by the viewer before the next is sent.
    fn change(&mut self, changes: usize) {
        for _ in 0..changes {
            // All over the graph: neighbours in time are no neighbours in it. Each node runs, then
            // completes.
            let node = self.next / 2 * 7_919 % self.nodes;
            let status = if self.next.is_multiple_of(2) { "running" } else { "completed" };
            let mut frame = Vec::new();
            websocket::push_frame(&mut frame, &websocket::set_status(self.next, &self.session, node, status));
            let (acks, states) = (self.driver.frames.acks + 1, self.viewer.frames.states + 1);
            self.driver.send(&frame);
            self.viewer.wait_for_states(states);
            self.driver.wait_for_acks(acks);
            self.next += 1;
            self.changes += 1;
        }
    }

    fn micros(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.changes as f64
    }
}
