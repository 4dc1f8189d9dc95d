//! Exporting and importing a session: how many bytes a second, and what the server's memory grows to,
//! which should not depend on the session's length.

use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt as _;
use relive::storage::Storage;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolCopyExt as _;

use super::support::{Server, Table, median};

const SHORT: usize = 10_000;
const LONG: usize = 100_000;
const ROUNDS: usize = 3;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub fn run(server: &Server, table: &mut Table) {
    let short = server.history(SHORT);
    let long = server.history(LONG);
    // What the first of each brings into memory, every server has.
    let file = export(server, &short);
    import(server, &file.bytes);
    let mut figures = Vec::new();
    for (id, events) in [(&short, SHORT), (&long, LONG)] {
        figures.push(measure(server, id, events));
    }
    let [short, long] = figures.try_into().unwrap_or_else(|_| panic!("two"));
    for (name, figure, baseline, what) in [
        ("export", &long.export, &long.copy_out, "COPY TO STDOUT"),
        ("import", &long.import, &long.copy_in, "COPY FROM STDIN"),
    ] {
        table.row(
            &format!("{name} of {LONG} events"),
            format!("{figure:.1} MiB/s"),
            format!("{baseline:.1} MiB/s, {what} of the rows"),
            format!("{:.2}x", figure / baseline),
            "-",
        );
    }
    for (name, long, short) in
        [("export", long.export_peak, short.export_peak), ("import", long.import_peak, short.import_peak)]
    {
        table.row(
            &format!("... memory the server grows by, {name}"),
            format!("{long:.1} MiB, {LONG} events"),
            format!("{short:.1} MiB, {SHORT} events"),
            "-".to_owned(),
            "the same",
        );
    }
    table.note(format!("a file of {LONG} events has {:.1} MiB", long.size));
}

struct File {
    bytes: Bytes,
    seconds: f64,
}

struct Figures {
    size: f64,
    export: f64,
    import: f64,
    copy_out: f64,
    copy_in: f64,
    export_peak: f64,
    import_peak: f64,
}

fn measure(server: &Server, id: &str, events: usize) -> Figures {
    let storage = server.own_database();
    let (mut exports, mut imports, mut outs, mut ins) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut export_peaks, mut import_peaks) = (Vec::new(), Vec::new());
    let mut size = 0.0;
    for _ in 0..ROUNDS {
        let (file, peak) = server.peak_growth(|| export(server, id));
        size = file.bytes.len() as f64 / MEBIBYTE;
        exports.push(size / file.seconds);
        export_peaks.push(peak);
        let (rows, seconds) = copy_out(server, &storage, id);
        outs.push(rows.len() as f64 / MEBIBYTE / seconds);
        let (seconds, peak) = server.peak_growth(|| import(server, &file.bytes));
        imports.push(size / seconds);
        import_peaks.push(peak);
        ins.push(rows.len() as f64 / MEBIBYTE / copy_in(server, &storage, rows));
    }
    eprintln!("  {events} events: {size:.1} MiB");
    Figures {
        size,
        export: median(&mut exports),
        import: median(&mut imports),
        copy_out: median(&mut outs),
        copy_in: median(&mut ins),
        export_peak: median(&mut export_peaks),
        import_peak: median(&mut import_peaks),
    }
}

fn export(server: &Server, id: &str) -> File {
    let started = Instant::now();
    let request = reqwest::get(format!("http://{}/api/v1/sessions/{id}/export", server.address));
    let bytes = server.runtime.block_on(async { request.await?.error_for_status()?.bytes().await }).expect("a file");
    File { bytes, seconds: started.elapsed().as_secs_f64() }
}

fn import(server: &Server, file: &Bytes) -> f64 {
    let started = Instant::now();
    let url = format!("http://{}/api/v1/sessions/import?newId=true", server.address);
    let request = reqwest::Client::new().post(url).body(file.clone()).send();
    server.runtime.block_on(async { request.await?.error_for_status()?.json::<Value>().await }).expect("a session");
    started.elapsed().as_secs_f64()
}

const ROWS: &str = "session_id, revision, at, batch, event";

/// The same rows as PostgreSQL gives them out itself, to a client on its own socket.
fn copy_out(server: &Server, storage: &Storage, id: &str) -> (Vec<u8>, f64) {
    let sql = format!("COPY (SELECT {ROWS} FROM session_events WHERE session_id = '{id}' ORDER BY revision) TO STDOUT");
    let started = Instant::now();
    let rows = server.runtime.block_on(async {
        let mut rows = Vec::new();
        let mut chunks = storage.pool().copy_out_raw(&sql).await.expect("COPY");
        while let Some(chunk) = chunks.next().await {
            rows.extend_from_slice(&chunk.expect("rows"));
        }
        rows
    });
    (rows, started.elapsed().as_secs_f64())
}

/// The same rows as PostgreSQL takes them in itself, into a table with the same key.
fn copy_in(server: &Server, storage: &Storage, rows: Vec<u8>) -> f64 {
    server.runtime.block_on(async {
        let table =
            "DROP TABLE IF EXISTS plain_events; CREATE TABLE plain_events (LIKE session_events INCLUDING INDEXES)";
        sqlx::raw_sql(table).execute(storage.pool()).await.expect("a table");
        let started = Instant::now();
        let sql = format!("COPY plain_events ({ROWS}) FROM STDIN");
        let mut copy = storage.pool().copy_in_raw(&sql).await.expect("COPY");
        for chunk in rows.chunks(64 * 1024) {
            copy.send(chunk).await.expect("sent");
        }
        copy.finish().await.expect("stored");
        started.elapsed().as_secs_f64()
    })
}

impl Server {
    /// A session with this many events: nodes that start and put something out, context, messages.
    fn history(&self, events: usize) -> String {
        let id = self.session(100);
        let output = json!({"text": "what a step puts out, at some length ".repeat(4), "numbers": [1, 2.5, 3]});
        for round in 0..events / 1_000 {
            let command = |n: usize| {
                let node = format!("n{}", n / 10 % 100);
                match n % 10 {
                    0 => json!({"type": "setNodeStatus", "nodeId": node, "status": "running"}),
                    9 => json!({"type": "setNodeStatus", "nodeId": node, "status": "completed", "output": output}),
                    5 => json!({"type": "addMessage", "nodeId": node, "content": "what is said on the way ".repeat(4)}),
                    _ => json!({"type": "setContext", "key": format!("k{}", n % 7), "value": [round, n, "some text"]}),
                }
            };
            let commands: Vec<Value> = (0..1_000).map(command).collect();
            self.post(&format!("/api/v1/sessions/{id}/commands"), &Value::Array(commands));
        }
        id
    }
}
