//! The server that a command talks to, and the key or access token it does so with.

use std::path::{Path, PathBuf};

use super::credentials::{CredentialsError, CredentialsFile, LONGEST, checked};
use super::{complain, described};
use relive_client::{Address, Api, Archives, Client, ClientError, ErrorCode, Options, TokenSource};

/// A key or an access token. There is no flag for one: other users of the machine can see arguments.
pub const TOKEN_VARIABLE: &str = "RELIVE_TOKEN";

/// The server that all commands but `serve` connect to.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArg {
    /// The server's address.
    #[arg(long, env = "RELIVE_SERVER", default_value = DEFAULT_SERVER, value_name = "URL")]
    pub server: String,
    /// A file with a key or an access token for the server; it is read again when the token expires. Without
    /// it: the variable `RELIVE_TOKEN`, or else what `relive login` has stored.
    #[arg(long, env = "RELIVE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7400";

/// Where a token comes from.
enum Origin {
    File(PathBuf),
    Variable(String),
    Stored(String),
    Nowhere,
}

impl ServerArg {
    /// What the client is to send, if there is something.
    fn token(&self) -> Result<Option<TokenSource>, CredentialsError> {
        Ok(match self.origin()? {
            Origin::File(path) => {
                // Now too: a wrong path is no reason to try again.
                read(&path)?;
                Some(TokenSource::new(move || std::future::ready(read(&path))))
            }
            Origin::Variable(token) | Origin::Stored(token) => Some(TokenSource::fixed(token)),
            Origin::Nowhere => None,
        })
    }

    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`], and if there is no token where one should be.
    pub async fn connect(&self) -> Result<Client, ClientError> {
        let options = Options { token: self.usable_token()?, ..Options::default() };
        Client::connect_with(&self.server, options).await
    }

    /// The server, for files.
    ///
    /// # Errors
    ///
    /// As [`Archives::new`], and if there is no token where one should be.
    pub fn archives(&self) -> Result<Archives, ClientError> {
        Ok(Archives::new(&self.server)?.with_token(self.usable_token()?))
    }

    /// The server's HTTP API.
    ///
    /// # Errors
    ///
    /// As [`Api::new`], and if there is no token where one should be.
    pub fn api(&self) -> Result<Api, ClientError> {
        Ok(self.api_without_token()?.with_token(self.usable_token()?))
    }

    /// The server's HTTP API, for requests that bring their own token.
    ///
    /// # Errors
    ///
    /// As [`Api::new`].
    pub fn api_without_token(&self) -> Result<Api, ClientError> {
        Api::new(&self.server)
    }

    fn usable_token(&self) -> Result<Option<TokenSource>, ClientError> {
        self.token().map_err(|error| ClientError::NoToken(error.to_string()))
    }

    fn origin(&self) -> Result<Origin, CredentialsError> {
        if let Some(path) = &self.token_file {
            return Ok(Origin::File(path.clone()));
        }
        if let Some(token) = std::env::var_os(TOKEN_VARIABLE).map(|token| token.to_string_lossy().into_owned())
            && !token.trim().is_empty()
        {
            return Ok(Origin::Variable(checked(&token, TOKEN_VARIABLE)?));
        }
        // Without a place for it nothing can have been stored; an address that is none, the client reports.
        let (Ok(file), Ok(address)) = (CredentialsFile::of_environment(), Address::parse(&self.server)) else {
            return Ok(Origin::Nowhere);
        };
        Ok(file.token(&address)?.map_or(Origin::Nowhere, Origin::Stored))
    }

    /// What `curl` and `websocat` need beside the address, in a shell; empty if nothing.
    #[must_use]
    pub fn header(&self) -> &'static str {
        match self.origin() {
            Ok(Origin::Nowhere) | Err(_) => "",
            Ok(_) => r#"-H "Authorization: Bearer $RELIVE_TOKEN" "#,
        }
    }

    /// Prints an error on standard error, and what to do if the server asks for a key or another one.
    pub fn complain(&self, error: &ClientError) {
        complain(error);
        if let Some(hint) = self.hint(error) {
            eprintln!("relive: {}", described(&hint));
        }
    }

    fn hint(&self, error: &ClientError) -> Option<Hint> {
        let origin = self.origin().ok()?;
        let login = login(&self.server);
        let text = match (is_about(error)?, origin) {
            (Missing::Authentication, Origin::Nowhere) => {
                format!("sign in with `{login}`, or set {TOKEN_VARIABLE} to a key or an access token")
            }
            (Missing::Authentication, Origin::Stored(_)) => format!("sign in again with `{login}`"),
            (Missing::Authentication, Origin::Variable(_)) => {
                format!("the server refuses what {TOKEN_VARIABLE} has; set another one, or unset it and use `{login}`")
            }
            (Missing::Authentication, Origin::File(path)) => {
                format!("the server refuses what {} has", path.display())
            }
            // It was not for want of a key.
            (Missing::Permission, Origin::Nowhere) => return None,
            (Missing::Permission, Origin::Stored(_)) => format!("sign in with a key that allows it: `{login}`"),
            (Missing::Permission, Origin::Variable(_)) => {
                format!("set {TOKEN_VARIABLE} to a key that allows it, or unset it and use `{login}`")
            }
            (Missing::Permission, Origin::File(path)) => {
                format!("what {} has does not allow it", path.display())
            }
        };
        Some(Hint(text))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Hint(String);

/// What a refused request lacks.
enum Missing {
    Authentication,
    Permission,
}

fn is_about(error: &ClientError) -> Option<Missing> {
    match error {
        ClientError::Refused { code: ErrorCode::Unauthorized, .. } | ClientError::Closed { code: 4401 | 4500, .. } => {
            Some(Missing::Authentication)
        }
        ClientError::Refused { code: ErrorCode::Forbidden, .. } | ClientError::Closed { code: 4503, .. } => {
            Some(Missing::Permission)
        }
        _ => None,
    }
}

/// The command that signs in to a server.
fn login(server: &str) -> String {
    if server == DEFAULT_SERVER { "relive login".to_owned() } else { format!("relive login --server {server}") }
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    let wrong = |error| CredentialsError::Read { path: path.to_owned(), error };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(wrong)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, LONGEST + 1), &mut text).map_err(wrong)?;
    checked(&text, &path.display().to_string())
}
