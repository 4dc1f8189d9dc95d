//! What the server does per second, per change, per viewer, each beside a plain way of doing it.
//!
//! ```text
//! cargo bench --bench relive                  everything but the last two, which are long: some ten minutes
//! cargo bench --bench relive -- write         durable changes per second
//! cargo bench --bench relive -- fleet         the same in 500, 5,000 and 50,000 sessions, and creations
//! cargo bench --bench relive -- few           a lone command, 50 and 400 commands in flight over 500 sessions
//! cargo bench --bench relive -- second        the same beside a second server, and from one to a viewer of the other
//! cargo bench --bench relive -- parked        an idle server beside 100,000 parked runs
//! cargo bench --bench relive -- access        the same with a key, and a request with one
//! cargo bench --bench relive -- flood         a command beside a flood in another session
//! cargo bench --bench relive -- fanout        from a command to the last of 1 to 9,000 viewers
//! cargo bench --bench relive -- stalled       the same beside 1,000 viewers that do not read
//! cargo bench --bench relive -- storm         9,000 viewers come back to another server at once
//! cargo bench --bench relive -- streams       the same to 500 streams of server-sent events, beside sockets
//! cargo bench --bench relive -- tokens        chunks of a message that is being written, to 100 viewers
//! cargo bench --bench relive -- memory        what an idle viewer costs
//! cargo bench --bench relive -- idle          a request beside 10,000 idle or slow connections
//! cargo bench --bench relive -- delta         bytes and CPU per change, by size of the graph
//! cargo bench --bench relive -- inside        a change below 10,000 nested nodes, 100,000 log lines and pages of them
//! cargo bench --bench relive -- engine        nodes through the built-in engine
//! cargo bench --bench relive -- replay        first frame and seek by length of the run, and full speed
//! cargo bench --bench relive -- archive       export and import, and the server's peak memory
//! cargo bench --bench relive -- upgrade       how long the migration of a million sessions stops a write
//! cargo bench --bench relive -- statistics    statistics of a million runs, beside a plain query
//! ```
//!
//! The server is the real binary in a process of its own, on its own PostgreSQL with `fsync` on.
//! `RELIVE_BENCH_SERVER` names another build of it to measure. Figures move with the machine and with
//! whatever else runs on it; so each figure stands beside a baseline measured in the same run, in
//! turns with it, and the ratio is what counts. Nothing here fails for being slow. Linux only: it
//! reads `/proc`.

// A measurement that meets the unexpected should stop; pedantry belongs in the product.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::pedantic)]

mod access;
mod archive;
mod delta;
mod engine;
mod fanout;
mod few;
mod fleet;
mod flood;
mod idle;
mod inside;
mod memory;
mod parked;
mod plain;
mod readers;
mod replay;
mod second;
mod stalled;
mod statistics;
mod storm;
mod streams;
mod support;
mod tokens;
mod upgrade;
mod websocket;
mod write;

use support::{Server, Table};

type Part = fn(&Server, &mut Table);

/// These fill a table with a million rows first, and are measured when they are named.
const LONG: [&str; 2] = ["upgrade", "statistics"];

const PARTS: [(&str, Part); 21] = [
    ("write", write::run),
    ("fleet", fleet::run),
    ("few", few::run),
    ("second", second::run),
    ("parked", parked::run),
    ("access", access::run),
    ("flood", flood::run),
    ("fanout", fanout::run),
    ("stalled", stalled::run),
    ("storm", storm::run),
    ("streams", streams::run),
    ("tokens", tokens::run),
    ("memory", memory::run),
    ("idle", idle::run),
    ("delta", delta::run),
    ("inside", inside::run),
    ("replay", replay::run),
    ("archive", archive::run),
    ("engine", engine::run),
    ("upgrade", upgrade::run),
    ("statistics", statistics::run),
];

fn main() {
    // Cargo itself passes `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        eprintln!("no part is called {unknown}; there are {}", PARTS.map(|(part, _)| part).join(", "));
        std::process::exit(2);
    }
    support::raise_file_limit();
    let mut table = Table::default();
    for (name, run) in PARTS {
        if wanted.iter().any(|part| part == name) || wanted.is_empty() && !LONG.contains(&name) {
            // A fresh server for each part: none starts with what another left behind.
            let server = Server::start();
            if table.is_empty() {
                table.note(format!("median single-row commit on this machine: {:.2?}", server.commit_latency()));
            }
            eprintln!("measuring: {name}");
            run(&server, &mut table);
        }
    }
    table.print();
}
