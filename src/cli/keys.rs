//! `relive keys`: keys on the database itself, with or without a server on it.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use relive_session::{ProjectId, Timestamp};
use uuid::Uuid;

use super::{complain, exit};
use crate::access::{self, AuditedAction, NewKeyOptions, Role};
use crate::config::DatabaseConfig;
use crate::server::ServeError;
use crate::server::tool::{IfMissing, ToolDatabase};
use crate::storage::{KeyRow, StorageError};

/// Keys of a page while they are listed.
const PAGE: u32 = 200;
/// The longest time after which a key can expire.
const LONGEST: Duration = Duration::from_hours(24 * 36_500);

/// What `relive keys` does; the long help stands with [`CliCommand`](super::CliCommand).
#[derive(Clone, Debug, clap::Subcommand)]
pub enum KeysAction {
    /// Make a key, and print it: it cannot be shown again.
    Create(CreateArgs),
    /// List the keys, those included that were revoked or have expired.
    List(ListArgs),
    /// Revoke a key. Servers refuse it, and close its sockets, within five seconds.
    Revoke(RevokeArgs),
    /// Exchange the key that signs access tokens. Tokens that were signed with the one before stay valid until they
    /// expire; those that are older end. Do it twice to end all tokens.
    RotateSigning(RotateArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct CreateArgs {
    /// What the key may do: viewer, reviewer, operator, engine, admin or root.
    #[arg(long, value_name = "ROLE")]
    pub role: Role,
    /// The project it is for.
    #[arg(long, value_name = "PROJECT", default_value = ProjectId::DEFAULT)]
    pub project: ProjectId,
    /// A name by which people recognise it. Default: the role.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<String>,
    /// The time after which it expires, such as <90d>, <12h>, <30m> or <45s>. Default: never.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires_in: Option<Duration>,
    /// Make the database if the data directory has none yet, as `relive serve` does.
    #[arg(long)]
    pub new_database: bool,
    #[command(flatten)]
    pub database: DatabaseConfig,
}

#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Only those of this project.
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<ProjectId>,
    #[command(flatten)]
    pub database: DatabaseConfig,
}

#[derive(Clone, Debug, clap::Args)]
pub struct RevokeArgs {
    /// The id of the key, as `relive keys list` shows it.
    pub id: Uuid,
    #[command(flatten)]
    pub database: DatabaseConfig,
}

#[derive(Clone, Debug, clap::Args)]
pub struct RotateArgs {
    #[command(flatten)]
    pub database: DatabaseConfig,
}

#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error(transparent)]
    Database(#[from] ServeError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("there is no key with this id")]
    NoSuchKey,
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
}

/// Runs the command. The exit status is 0, or 1 if it could not be done.
pub async fn run(action: KeysAction) -> ExitCode {
    let done = match action {
        KeysAction::Create(args) => create(args).await,
        KeysAction::List(args) => list(args).await,
        KeysAction::Revoke(args) => revoke(args).await,
        KeysAction::RotateSigning(args) => rotate_signing(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

/// Does `work` on the database, and closes it whatever came of it.
async fn with_database<T>(
    config: &DatabaseConfig,
    missing: IfMissing,
    work: impl AsyncFnOnce(&crate::storage::Storage) -> Result<T, KeysError>,
) -> Result<T, KeysError> {
    let database = ToolDatabase::open(config, missing).await?;
    let outcome = work(&database.storage).await;
    let closed = database.close().await;
    let value = outcome?;
    closed?;
    Ok(value)
}

async fn create(args: CreateArgs) -> Result<(), KeysError> {
    let options = NewKeyOptions {
        project: &args.project,
        name: args.name.as_deref().unwrap_or(args.role.as_str()),
        role: args.role,
        expires_at: args.expires_in.map(|time| Timestamp::now() + time),
    };
    let place = place(&args.database);
    let missing = if args.new_database { IfMissing::Make } else { IfMissing::Refuse };
    let made = with_database(&args.database, missing, async |storage| {
        let made = access::create_key(storage, options).await?;
        record(storage, &made.key.project, "create_key", &made.key.id.to_string()).await?;
        Ok(made)
    });
    let made = made.await?;
    let access::ApiKey { id, role, project, .. } = made.key;
    // The key alone goes to standard output, so that a script can take it.
    print(made.text.reveal())?;
    eprintln!("relive: made the key {id} ({role} of {project}) in {place}; it is not shown again");
    Ok(())
}

/// Where the database is, without a password.
fn place(database: &DatabaseConfig) -> String {
    match database.database_url {
        Some(_) => "the database of DATABASE_URL".to_owned(),
        None => database.data_dir.display().to_string(),
    }
}

async fn record(
    storage: &crate::storage::Storage,
    project: &ProjectId,
    action: &'static str,
    what: &str,
) -> Result<(), KeysError> {
    let entry = AuditedAction::of_command_line(project.clone(), action, format!("relive keys: {what}"));
    Ok(access::record(storage, entry).await?)
}

async fn list(args: ListArgs) -> Result<(), KeysError> {
    let keys = with_database(&args.database, IfMissing::Refuse, async |storage| {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = storage.keys(args.project.as_ref(), after, PAGE).await?;
            keys.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(keys);
            }
        }
    })
    .await?;
    let now = Timestamp::now();
    let heading = ["ID", "PROJECT", "ROLE", "KEY", "STATE", "CREATED", "LAST USED", "NAME"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(heading).chain(keys.iter().map(|key| row(key, now))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..8).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        print(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(key: &KeyRow, now: Timestamp) -> [String; 8] {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(at)) if at <= now => "expired".to_owned(),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => "valid".to_owned(),
    };
    let last_use = key.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    // A name may be anyone's text.
    let name = key.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (id, project, role) = (key.id.to_string(), key.project.to_string(), key.role.clone());
    [id, project, role, format!("{}…", key.prefix), state, key.created_at.to_string(), last_use, name]
}

async fn revoke(args: RevokeArgs) -> Result<(), KeysError> {
    let now = Timestamp::now();
    let revoked = with_database(&args.database, IfMissing::Refuse, async |storage| {
        let key = storage.revoke_key(None, args.id, now).await?.ok_or(KeysError::NoSuchKey)?;
        record(storage, &key.project, "revoke_key", &key.id.to_string()).await?;
        Ok(key)
    });
    let key = revoked.await?;
    eprintln!("relive: revoked the key {} ({} of {})", key.id, key.role, key.project);
    Ok(())
}

async fn rotate_signing(args: RotateArgs) -> Result<(), KeysError> {
    let before = with_database(&args.database, IfMissing::Refuse, async |storage| {
        let before = access::rotate_signing_key(storage).await?;
        record(storage, &ProjectId::default_project(), "rotate_signing_key", "the key that signs tokens").await?;
        Ok(before)
    });
    let before = before.await?;
    eprintln!("relive: made a new key that signs access tokens; servers sign with it within half a minute");
    if let Some(made) = before {
        eprintln!(
            "relive: tokens signed with the one before, made at {made}, stay valid until they expire; older ones end"
        );
    }
    Ok(())
}

fn print(line: &str) -> Result<(), KeysError> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(KeysError::Output)
}

fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 200 characters, none of them a control character".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a number with its unit, such as 90d, 12h, 30m or 45s";
    let unit = text.chars().last().ok_or(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected.to_owned()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| expected)?;
    let time = number.checked_mul(seconds).map(Duration::from_secs);
    match time {
        Some(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err("expected a time from 1s to 36500d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("45s", 45), ("30m", 1_800), ("12h", 43_200), ("90d", 7_776_000)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "s", "10", "0s", "-1d", "1.5h", "1w", "10ä", "36501d", "99999999999999999999d", "1 d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
