//! Logs and metrics.
//!
//! Logs go to standard error: readable lines, or JSON.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging for this process. A second call changes nothing.
///
/// `filter` is one of [`EnvFilter`]'s; invalid parts are ignored.
pub fn init_logs(filter: &str, is_json: bool) {
    // Notices that PostgreSQL sends every client, such as that an index exists already, are noise at `info`.
    let filter = EnvFilter::new(format!("sqlx::postgres::notice=warn,{filter}"));
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
                .set_buckets(&[
                    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 100.0, 1_000.0,
                ])
                .ok()?
                .install_recorder()
                .ok()?;
            describe();
            Some(handle)
        })
        .as_ref()
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("relive_commands_total", "Commands answered, by kind and result.");
    describe_histogram!("relive_commit_seconds", "Time from the first try to write a batch until it is durable.");
    describe_histogram!("relive_commit_events", "Events in one commit.");
    describe_gauge!("relive_backlog", "Commands waiting in the lane that wrote last.");
    describe_counter!("relive_races_lost_total", "Batches decided again because another writer was first.");
    describe_counter!("relive_notice_statements_total", "Statements that told other servers of commits.");
    describe_counter!("relive_notices_sent_total", "Notices to other servers.");
    describe_gauge!("relive_nats_connected", "1 while there is a connection to NATS.");
    describe_counter!("relive_notices_received_total", "Notices of other servers.");
    describe_counter!("relive_sessions_caught_up_total", "Reads of what another server committed to a session.");
    describe_counter!("relive_database_errors_total", "Errors the database answered with, and lost connections.");
    describe_counter!("relive_audit_lost_total", "Entries of the audit log that could not be written.");
    describe_counter!("relive_postgres_restarts_total", "Times the embedded PostgreSQL was started again.");
    describe_counter!("relive_embedding_requests_total", "Requests to the embeddings endpoint, by result.");
    describe_histogram!("relive_embedding_seconds", "Time until the embeddings endpoint has answered.");
    describe_gauge!("relive_embeddings_waiting", "Memories without an embedding, while there is an endpoint.");
    describe_counter!("relive_unpriced_usage_total", "Usage of models whose price is not known.");
    describe_counter!("relive_webhook_attempts_total", "Requests to webhooks, by result.");
    describe_histogram!("relive_webhook_seconds", "Time until a webhook has answered, or the attempt has failed.");
    describe_counter!("relive_webhook_given_up_total", "Deliveries to webhooks whose last attempt has failed.");
    describe_gauge!("relive_webhooks_served", "Webhooks whose deliveries this server is sending.");
    describe_counter!("relive_schedule_firings_total", "Times at which schedules were due, by outcome.");
    describe_counter!("relive_archive_sessions_total", "Sessions moved to the archive.");
    describe_counter!("relive_archive_bytes_total", "Bytes of files written to the archive, compressed.");
    describe_counter!("relive_archive_restored_total", "Sessions that came back from the archive.");
    describe_counter!(
        "relive_archive_failures_total",
        "Files that could not be written, read or removed, by operation."
    );
    describe_gauge!("relive_live_sessions", "Sessions in memory.");
    describe_gauge!("relive_viewers", "Subscriptions to sessions.");
    describe_gauge!("relive_replays", "Open replays.");
    describe_gauge!("relive_sockets", "Open WebSockets.");
    describe_counter!("relive_writes_total", "Writes to WebSockets; one carries a frame, or several answers.");
    describe_counter!("relive_sent_bytes_total", "Bytes written to WebSockets.");
    describe_counter!("relive_conflated_revisions_total", "Revisions that slow viewers were not shown singly.");
    describe_counter!("relive_http_requests_total", "HTTP requests, by route, method and status.");
    describe_histogram!("relive_http_seconds", "Time to answer an HTTP request, by route.");
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
