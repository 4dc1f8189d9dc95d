//! The `relive` program.

use std::process::ExitCode;

use relive::cli::{Action, Cli, export, import, keys, login, mcp, run, serve, watch};

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::read().action {
        Action::Serve(config) => serve::run(*config).await,
        Action::Run(args) => run::run(args).await,
        Action::Watch(args) => watch::run(args).await,
        Action::Export(args) => export::run(args).await,
        Action::Import(args) => import::run(args).await,
        Action::Login(args) => login::login(args).await,
        Action::Mcp(args) => mcp::run(args).await,
        Action::Logout(args) => login::logout(&args),
        Action::Keys(action) => keys::run(action).await,
    }
}
