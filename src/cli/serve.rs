//! `relive serve`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::settings::EffectiveSettings;
use super::{complain, exit, unknown_variables};
use crate::config::{LogFormat, ServeConfig, UnknownVariable};
use crate::server::{Certificate, ServeError, Server, listen};
use crate::{telemetry, version};

/// Serves until SIGINT or SIGTERM. The exit status is 0 then, and 1 if the server cannot run.
pub async fn run(config: ServeConfig, settings: &EffectiveSettings) -> ExitCode {
    telemetry::init_logs(&config.log.filter, config.log.format == LogFormat::Json);
    tracing::info!("relive {}", version::TEXT);
    let from =
        settings.file.as_ref().map_or_else(String::new, |file| format!(" (configuration file {})", file.display()));
    match settings.changed() {
        changed if changed.is_empty() => tracing::info!("settings: all are the defaults{from}"),
        changed => tracing::info!("settings that are not the defaults{from}: {changed}"),
    }
    for variable in unknown_variables() {
        let UnknownVariable { name, nearest } = variable;
        let hint = nearest
            .map_or_else(|| "relive serve --help lists them".to_owned(), |nearest| format!("did you mean {nearest}?"));
        tracing::warn!("there is no setting {name}; {hint}");
    }
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

async fn serve(config: ServeConfig) -> Result<(), ServeError> {
    // Before anything is started, so that a signal during the start is not lost.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let hangup = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
    let listener = listen(&config).await?;
    let server = Server::prepare(listener, &config).await?;
    let hung_up = hung_up(hangup, server.certificate().cloned());
    server.log_start(&config).await;
    // Standard output may be closed; the server runs nevertheless.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on {}://{}", server.scheme(), server.address()).and_then(|()| stdout.flush());
    if server.needs_key() {
        let database = match &config.database.database_url {
            Some(_) => String::new(),
            None => format!(" --data-dir {}", config.database.data_dir.display()),
        };
        eprintln!(
            "relive: requests need a key, and there is none yet; make the first one on this machine:\n\
             relive:   relive keys create --role admin{database}\n\
             relive: then send it as `Authorization: Bearer …`, or sign in with it in the browser"
        );
    }
    server
        .run(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = hung_up => {}
            }
        })
        .await;
    Ok(())
}

/// Reads the certificate again at each SIGHUP. Without one, ends when the terminal that the server was started in is
/// closed; a server without a terminal goes on.
async fn hung_up(mut hangup: Signal, certificate: Option<Certificate>) {
    let has_terminal = std::io::stdin().is_terminal();
    while hangup.recv().await.is_some() {
        match &certificate {
            Some(certificate) => certificate.reload_and_log(),
            None if has_terminal => return,
            None => tracing::info!("SIGHUP: there is no certificate to read again"),
        }
    }
    std::future::pending::<()>().await;
}
