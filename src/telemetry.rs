//! Logs and metrics.
//!
//! Logs go to standard error: readable lines, or JSON.

mod process;

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
pub use process::observe as observe_process;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::version;

/// Starts logging for this process. A second call changes nothing.
///
/// `filter` is one of [`EnvFilter`]'s; invalid parts are ignored.
pub fn init_logs(filter: &str, is_json: bool) {
    // Notices that PostgreSQL sends every client, such as that an index exists already or that it shuts down, are noise;
    // so is that a connection was waited for: while the database is away, one line says so.
    let filter = EnvFilter::new(format!("sqlx::postgres::notice=error,sqlx::pool=error,{filter}"));
    let is_terminal = std::io::stderr().is_terminal();
    let writer = move || CleanWriter { out: std::io::stderr(), is_coloured: is_terminal };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(is_terminal);
    let untold = filter_fn(|of| !holds_secrets(of.target(), *of.level()));
    // Fails only if logging was started before.
    let _ = if is_json { logs.json().finish().with(untold).try_init() } else { logs.finish().with(untold).try_init() };
}

/// Whether such entries are written by a library that does not know what in them is secret, whatever the filter says:
/// below `debug`, `tungstenite` writes whole frames, `auth` frames included, and the heads of requests.
fn holds_secrets(target: &str, level: Level) -> bool {
    target.split("::").next() == Some("tungstenite") && level == Level::TRACE
}

/// Writes log entries, one line each: control characters are escaped. Texts of clients and endpoints could
/// otherwise forge lines of their own, or control the terminal.
struct CleanWriter<W> {
    out: W,
    /// The escape sequences in the text are colours; those of foreign text were escaped before.
    is_coloured: bool,
}

impl<W: io::Write> io::Write for CleanWriter<W> {
    /// An entry comes in one piece, with a line feed at its end.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let is_colour = |c: char| self.is_coloured && c == '\u{1b}';
        let text = String::from_utf8_lossy(entry);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut clean = String::with_capacity(text.len());
        for c in line.chars() {
            if is_unsafe(c) && !is_colour(c) { clean.extend(c.escape_default()) } else { clean.push(c) }
        }
        clean.push_str(&text[line.len()..]);
        self.out.write_all(clean.as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Control characters, line separators, and those that change the direction of what follows.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The process's metrics, collected from the first call on. `None` if something else in this
/// process collects them.
pub fn metrics() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let handle = PrometheusBuilder::new()
                .set_buckets(SECONDS)
                .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), EVENTS))
                .ok()?
                .install_recorder()
                .ok()?;
            describe();
            begin();
            process::observe();
            Some(handle)
        })
        .as_ref()
}

/// Bounds of the buckets of durations.
const SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// And of numbers of events.
const EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];

/// Every counter, and what it counts.
pub const COUNTERS: &[(&str, &str)] = &[
    ("relive_commands_total", "Commands answered, by kind and result."),
    ("relive_commands_expired_total", "Commands whose time ran out before they were committed."),
    ("relive_races_lost_total", "Batches decided again because another writer was first."),
    ("relive_leases_lapsed_total", "Leases of engines that passed, recorded by this server."),
    ("relive_retention_removed_total", "Sessions deleted or archived by the rules of retention, by this server."),
    ("relive_archive_sessions_total", "Sessions moved to the archive."),
    ("relive_archive_bytes_total", "Bytes of files written to the archive, compressed."),
    ("relive_archive_restored_total", "Sessions that came back from the archive."),
    ("relive_archive_failures_total", "Files that could not be written, read or removed, by operation."),
    ("relive_notice_statements_total", "Statements that told other servers of commits."),
    ("relive_notices_sent_total", "Notices to other servers."),
    ("relive_notices_received_total", "Notices of other servers."),
    ("relive_sessions_caught_up_total", "Reads of what another server committed to a session."),
    ("relive_database_errors_total", "Errors the database answered with, and lost connections."),
    ("relive_audit_lost_total", "Entries of the audit log that could not be written, or found no room."),
    ("relive_postgres_restarts_total", "Times the embedded PostgreSQL was started again."),
    ("relive_embedding_requests_total", "Requests to the embeddings endpoint, by result."),
    ("relive_unpriced_usage_total", "Usage of models whose price is not known."),
    ("relive_webhook_attempts_total", "Requests to webhooks, by result."),
    ("relive_webhook_given_up_total", "Deliveries to webhooks whose last attempt has failed."),
    ("relive_schedule_firings_total", "Times at which schedules were due, by outcome."),
    ("relive_alert_changes_total", "Alerts that were raised and resolved, by change."),
    ("relive_alert_failures_total", "Looks at alerts that failed."),
    ("relive_alert_emails_total", "Attempts to send e-mails about alerts, by result."),
    ("relive_alert_emails_given_up_total", "E-mails about alerts whose last attempt has failed."),
    ("relive_llm_requests_total", "Requests to language models, by result."),
    ("relive_llm_tokens_total", "Tokens of language models, by kind."),
    ("relive_engine_nodes_started_total", "Attempts that the built-in engine began."),
    ("relive_engine_nodes_failed_total", "Attempts of the built-in engine that failed."),
    ("relive_engine_nodes_total", "Attempts of the built-in engine that ended, by type and outcome."),
    ("relive_writes_total", "Writes to WebSockets; one carries a frame, or several answers."),
    ("relive_sent_bytes_total", "Bytes written to WebSockets."),
    ("relive_conflated_revisions_total", "Revisions that slow viewers were not shown singly."),
    (
        "relive_trace_spans_total",
        "Spans that have ended, by outcome: exported, dropped since too many waited, or failed.",
    ),
    ("relive_http_requests_total", "HTTP requests, by route, method and status."),
    ("process_cpu_seconds_total", "Processor time that the process has used."),
];

/// Every gauge, and what it shows.
pub const GAUGES: &[(&str, &str)] = &[
    ("relive_build_info", "1, with the version of the server, its commit and the day it was built."),
    ("relive_backlog", "Commands waiting in the lane that wrote last."),
    ("relive_nats_connected", "1 while there is a connection to NATS."),
    ("relive_database_connections", "Connections to the database, by state; those for notices are not counted."),
    ("relive_database_connections_max", "Connections to the database that there may be, without those for notices."),
    ("relive_embeddings_waiting", "Memories without an embedding, while there is an endpoint."),
    ("relive_webhooks_served", "Webhooks whose deliveries this server is sending."),
    ("relive_live_sessions", "Sessions in memory."),
    ("relive_llm_breaker_open", "Models that are left alone after repeated failures."),
    ("relive_engine_runs", "Runs of the built-in engine in this server."),
    ("relive_viewers", "Subscriptions to sessions."),
    ("relive_replays", "Open replays."),
    ("relive_sockets", "Open WebSockets and event streams."),
    ("relive_sockets_max", "WebSockets and event streams that there may be."),
    ("process_start_time_seconds", "When the process started, in seconds since 1970."),
    ("process_resident_memory_bytes", "Memory of the process that is not swapped out."),
    ("process_open_fds", "Open files and sockets of the process."),
    ("process_max_fds", "Files and sockets that the process may open."),
];

/// Every histogram, and what it measures.
pub const HISTOGRAMS: &[(&str, &str)] = &[
    ("relive_commit_seconds", "Time from the first try to write a batch until it is durable."),
    ("relive_commit_events", "Events in one commit."),
    ("relive_database_wait_seconds", "Time until a connection of the pool could be had."),
    ("relive_embedding_seconds", "Time until the embeddings endpoint has answered."),
    ("relive_llm_seconds", "Time until a language model has answered in full, or the request has failed."),
    ("relive_webhook_seconds", "Time until a webhook has answered, or the attempt has failed."),
    ("relive_alert_email_seconds", "Time until the SMTP server has taken an e-mail, or has not."),
    ("relive_http_seconds", "Time to answer an HTTP request, by route."),
];

/// Counters whose series have labels, and the values of the labels that are known before the first event.
const LABELLED: &[(&str, &str, &[&str])] = &[
    ("relive_alert_changes_total", "change", &["raised", "resolved"]),
    ("relive_alert_emails_total", "result", &["delivered", "failed"]),
    ("relive_archive_failures_total", "operation", &["write", "read", "remove"]),
    ("relive_embedding_requests_total", "result", &["ok"]),
    ("relive_llm_requests_total", "result", &["ok"]),
    ("relive_llm_tokens_total", "kind", &["input", "output"]),
    ("relive_schedule_firings_total", "outcome", &["started", "skipped", "missed", "failed"]),
    ("relive_trace_spans_total", "outcome", &["exported", "dropped", "failed"]),
    ("relive_webhook_attempts_total", "result", &["delivered", "failed"]),
];
/// Their series depend on the requests, and on what is run.
const OPEN: &[&str] = &["relive_commands_total", "relive_engine_nodes_total", "relive_http_requests_total"];

fn describe() {
    COUNTERS.iter().for_each(|(name, help)| metrics::describe_counter!(*name, *help));
    GAUGES.iter().for_each(|(name, help)| metrics::describe_gauge!(*name, *help));
    HISTOGRAMS.iter().for_each(|(name, help)| metrics::describe_histogram!(*name, *help));
}

/// What is counted begins at 0. Of a counter that appears with its first event, `rate` and `increase` would miss that event.
fn begin() {
    let has_labels = |name: &str| OPEN.contains(&name) || LABELLED.iter().any(|(labelled, ..)| *labelled == name);
    for (name, _) in COUNTERS.iter().filter(|(name, _)| !has_labels(name)) {
        metrics::counter!(*name).increment(0);
    }
    for (name, label, values) in LABELLED {
        values.iter().for_each(|value| metrics::counter!(*name, *label => *value).increment(0));
    }
    for name in ["relive_backlog", "relive_engine_runs", "relive_replays", "relive_sockets", "relive_viewers"] {
        metrics::gauge!(name).set(0.0);
    }
    let build = [("version", version::NUMBER), ("commit", version::COMMIT), ("built", version::BUILD_DATE)];
    metrics::gauge!("relive_build_info", &build).set(1.0);
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tracing::Level;

    use super::CleanWriter;

    fn written(text: &str, is_coloured: bool) -> String {
        let mut out = Vec::new();
        let mut writer = CleanWriter { out: &mut out, is_coloured };
        writer.write_all(text.as_bytes()).expect("written");
        String::from_utf8(out).expect("a text")
    }

    #[test]
    fn an_entry_is_one_line_whatever_foreign_text_is_in_it() {
        let foreign = "a\nINFO forged\r\u{1b}[2J\u{9b}31m\u{7}\0\u{7f}\u{2028}\u{202e}b";
        let line = written(&format!("{foreign}\n"), false);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("b\n") && !line.trim_end().chars().any(super::is_unsafe), "{line:?}");
        assert!(line.contains("\\n") && line.contains("\\u{1b}[2J") && line.contains("\\u{202e}"), "{line:?}");
        assert_eq!(written("größer 大\n", false), "größer 大\n");
    }

    #[test]
    fn whole_frames_are_not_logged() {
        for (target, level, is_held) in [
            ("tungstenite::protocol", Level::TRACE, true),
            ("tungstenite", Level::TRACE, true),
            ("tungstenite::protocol", Level::DEBUG, false),
            ("tungstenite::protocol", Level::ERROR, false),
            ("hyper::proto", Level::TRACE, false),
            ("tungstenites", Level::TRACE, false),
        ] {
            assert_eq!(super::holds_secrets(target, level), is_held, "{target} {level}");
        }
    }

    #[test]
    fn colours_stay_on_a_terminal() {
        assert_eq!(written("\u{1b}[32mINFO\u{1b}[0m a\tb\n", true), "\u{1b}[32mINFO\u{1b}[0m a\\tb\n");
    }
}
