//! Logs and metrics.
//!
//! Logs go to standard error: readable lines, or JSON with `RELIVE_LOG_FORMAT=json`. `RELIVE_LOG`
//! chooses what is logged, as in `RELIVE_LOG=relive=debug` (default: `info`).

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Starts logging for this process. A second call changes nothing.
pub fn init_logs() {
    let filter =
        EnvFilter::try_from_env("RELIVE_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx::postgres::notice=warn"));
    let is_terminal = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    // Fails only when logging was started before.
    let _ = if std::env::var("RELIVE_LOG_FORMAT").is_ok_and(|format| format == "json") {
        logs.json().try_init()
    } else {
        logs.try_init()
    };
}

/// The process's metrics, collected from the first call on. `None` when something else in this
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
    describe_counter!("relive_notices_received_total", "Notices of other servers.");
    describe_counter!("relive_sessions_caught_up_total", "Reads of what another server committed to a session.");
    describe_counter!("relive_database_errors_total", "Errors the database answered with, and lost connections.");
    describe_counter!("relive_postgres_restarts_total", "Times the embedded PostgreSQL was started again.");
    describe_counter!("relive_embedding_requests_total", "Requests to the embeddings endpoint, by result.");
    describe_histogram!("relive_embedding_seconds", "Time until the embeddings endpoint has answered.");
    describe_gauge!("relive_embeddings_waiting", "Memories without an embedding, while there is an endpoint.");
    describe_counter!("relive_unpriced_usage_total", "Usage of models whose price is not known.");
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
