//! `relive login` and `relive logout`: a key or an access token, kept on this machine for a server.

use std::io::{BufRead as _, IsTerminal as _, Read as _, stdin};
use std::process::ExitCode;

use super::credentials::{CredentialsError, CredentialsFile, LONGEST, checked};
use super::server_arg::DEFAULT_SERVER;
use super::{complain, exit};
use relive_client::{Address, Archives, ClientError, ErrorCode, TokenSource, WhoAmI};

/// What `relive login` and `relive logout` take; the long help stands with [`Action`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct LoginArgs {
    /// The server's address.
    #[arg(long, env = "RELIVE_SERVER", default_value = DEFAULT_SERVER, value_name = "URL")]
    pub server: String,
}

#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{server} does not accept this key or token; nothing was stored")]
    NotAccepted { server: String },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("cannot read standard input: {0}")]
    Input(std::io::Error),
}

/// Signs in, and gives the exit status.
pub async fn login(args: LoginArgs) -> ExitCode {
    ended(sign_in(&args.server).await)
}

/// Removes what is stored for the server, and gives the exit status.
pub fn logout(args: &LoginArgs) -> ExitCode {
    ended(forget(&args.server))
}

fn ended(outcome: Result<String, LoginError>) -> ExitCode {
    match outcome {
        Ok(said) => {
            eprintln!("relive: {said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

async fn sign_in(server: &str) -> Result<String, LoginError> {
    let address = Address::parse(server)?;
    let file = CredentialsFile::of_environment()?;
    let asked_of = address.clone();
    let reading = tokio::task::spawn_blocking(move || read_token(&asked_of));
    let token = reading.await.map_err(|error| LoginError::Input(std::io::Error::other(error)))??;
    let archives = Archives::new(server)?.with_token(Some(TokenSource::fixed(token.clone())));
    let who = archives.who_am_i().await.map_err(|error| match error.code() {
        Some(ErrorCode::Unauthorized) => LoginError::NotAccepted { server: address.to_string() },
        _ => error.into(),
    })?;
    file.store(&address, token)?;
    Ok(format!("signed in to {address} as {}; stored in {}", described(&who), file.path().display()))
}

fn forget(server: &str) -> Result<String, LoginError> {
    let address = Address::parse(server)?;
    let was_there = CredentialsFile::of_environment()?.remove(&address)?;
    Ok(if was_there { format!("signed out of {address}") } else { format!("was not signed in to {address}") })
}

/// Asks on a terminal, without showing what is typed; otherwise reads the first line of standard input.
fn read_token(server: &Address) -> Result<String, LoginError> {
    let text = if stdin().is_terminal() {
        eprint!("Key or access token for {server}: ");
        let config = rpassword::ConfigBuilder::new().input_file_path("/dev/stdin").output_discard().build();
        let text = rpassword::read_password_with_config(config);
        eprintln!();
        text.map_err(LoginError::Input)?
    } else {
        let mut text = String::new();
        stdin().lock().take(LONGEST + 1).read_line(&mut text).map_err(LoginError::Input)?;
        text
    };
    Ok(checked(&text, "the input")?)
}

/// Who one is, in a few words. Names may be anyone's text.
fn described(who: &WhoAmI) -> String {
    let name = who.actor.as_ref().map_or("nobody in particular", |actor| &actor.name);
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let may = match (&who.role, &who.scopes) {
        (Some(role), _) => role.clone(),
        (None, Some(scopes)) => scopes.join(", "),
        (None, None) => "everything is allowed".to_owned(),
    };
    let until = who.expires_at.map_or_else(String::new, |at| format!(", until {at}"));
    format!("{name} ({may}, project {}{until})", who.project)
}
