//! The `relive` program.

use std::process::ExitCode;

use relive::cli::{Cli, CliCommand, archive, export, import, keys, login, mcp, run, serve, statistics, watch};

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::read().action {
        CliCommand::Serve(config) => serve::run(*config).await,
        CliCommand::Run(args) => run::run(args).await,
        CliCommand::Watch(args) => watch::run(args).await,
        CliCommand::Export(args) => export::run(args).await,
        CliCommand::Import(args) => import::run(args).await,
        CliCommand::Archive(args) => archive::run(args).await,
        CliCommand::Login(args) => login::login(args).await,
        CliCommand::Mcp(args) => mcp::run(args).await,
        CliCommand::Logout(args) => login::logout(&args),
        CliCommand::Keys(action) => keys::run(action).await,
        CliCommand::Statistics(action) => statistics::run(action).await,
    }
}
