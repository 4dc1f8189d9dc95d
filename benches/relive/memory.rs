//! What an idle viewer costs the server in resident memory. What the kernel holds for its socket
//! comes on top, and is the same for any server.

use super::readers::Readers;
use super::support::{Server, Table};
use super::websocket;

const VIEWERS: usize = 5_000;
const STEP: usize = 1_000;
const NODES: usize = 10;

pub fn run(server: &Server, table: &mut Table) {
    let session = server.session(NODES);
    let path = format!("/ws/sessions/{session}");
    let connect = |count| {
        let readers = Readers::new((0..count).map(|_| websocket::open(server.address, &path)).collect());
        readers.complete(count);
        readers
    };
    // What the first viewer brings into memory, every server has.
    drop(connect(1));
    let before = server.resident_kib();
    let mut held = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..VIEWERS / STEP {
        held.push(connect(STEP));
        steps.push(server.resident_kib());
    }
    let growth = steps.last().expect("steps") - before;
    table.row(
        &format!("memory of an idle viewer, of {VIEWERS}"),
        format!("{:.1} KiB", growth as f64 / VIEWERS as f64),
        format!("{before} KiB without viewers"),
        "-".to_owned(),
        "at most 4 KiB",
    );
    let starts = std::iter::once(&before).chain(&steps);
    let each: Vec<String> = starts.zip(&steps).map(|(start, end)| (end - start).to_string()).collect();
    table.note(format!("memory of each {STEP} viewers: {} KiB", each.join(", ")));
}
