//! The `relive` program.

use std::process::ExitCode;

use relive::cli::{
    Cli, CliCommand, archive, backup, completions, config, doctor, export, import, keys, login, mcp, run, serve,
    statistics, watch,
};

/// What one thread allocates, another frees, for almost everything: a command is read by one, written by another, and
/// answered by the first. The allocator of the C library takes a third of a server's time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { action, settings } = match Cli::read() {
        Ok(cli) => cli,
        Err(fault) => return relive::cli::refuse(&fault),
    };
    match action {
        CliCommand::Serve(config) => Box::pin(serve::run(*config, &settings)).await,
        CliCommand::Config(action) => config::run(action, settings).await,
        CliCommand::Doctor(args) => Box::pin(doctor::run(*args)).await,
        CliCommand::Run(args) => run::run(args).await,
        CliCommand::Watch(args) => watch::run(args).await,
        CliCommand::Export(args) => export::run(args).await,
        CliCommand::Import(args) => import::run(args).await,
        CliCommand::Archive(args) => archive::run(args).await,
        CliCommand::Login(args) => login::login(args).await,
        CliCommand::Mcp(args) => mcp::run(args).await,
        CliCommand::Logout(args) => login::logout(&args),
        CliCommand::Keys(action) => keys::run(action).await,
        CliCommand::Backup(args) => backup::back_up(args).await,
        CliCommand::Restore(args) => backup::restore(args).await,
        CliCommand::Completions(args) => completions::complete(&args),
        CliCommand::Man(args) => completions::write_pages(&args),
        CliCommand::Statistics(action) => statistics::run(action).await,
    }
}
