//! The database: whether it can be reached, and what it is like.

use indicatif::HumanBytes;

use super::super::{ServeError, check_scheme};
use super::Finding;
use crate::config::DatabaseConfig;
use crate::storage::cluster::{Cluster, ClusterOptions};
use crate::storage::{ConnectionUse, Diagnosis, Readiness, SchemaState, Storage, StorageError, connect_options};

const REACHABLE: &str = "database";
/// A difference of clocks that is worth a word; access tokens of a provider allow for a minute.
const CLOCKS_DIFFER: f64 = 2.0;
const CLOCKS_TOO_FAR: f64 = 60.0;
/// Connections for notices, beside the pool's.
const OWN: i64 = 2;

pub(super) async fn examine(config: &DatabaseConfig) -> Vec<Finding> {
    let (storage, cluster) = match open(config).await {
        Ok(opened) => opened,
        Err(finding) => return vec![*finding],
    };
    let mut findings = match storage.diagnose().await {
        Ok(diagnosis) => findings(&diagnosis, config),
        Err(error) => vec![unreachable(&error)],
    };
    if findings.len() > 1 {
        findings.push(writable(storage.readiness().await));
    }
    storage.close().await;
    if let Some(cluster) = cluster
        && let Err(error) = cluster.stop().await
    {
        findings.push(Finding::warn(REACHABLE, error.to_string(), "look at postgres.log in the data directory"));
    }
    findings
}

/// The database, with the PostgreSQL that was started for it.
async fn open(config: &DatabaseConfig) -> Result<(Storage, Option<Cluster>), Box<Finding>> {
    const CONNECTIONS: u32 = 2;
    let wrong = |error: ServeError, remedy: &str| Box::new(Finding::fail(REACHABLE, error.to_string(), remedy));
    if let Some(url) = &config.database_url {
        check_scheme(url).map_err(|error| wrong(error, "correct DATABASE_URL"))?;
        let options =
            connect_options(url).map_err(|error| wrong(ServeError::DatabaseUrl(error), "correct DATABASE_URL"))?;
        return Ok((Storage::new(options, CONNECTIONS), None));
    }
    if let Some(options) = Cluster::running(&config.data_dir) {
        return Ok((Storage::new(options, CONNECTIONS), None));
    }
    if !Cluster::exists(&config.data_dir) {
        let detail = format!("there is none in {} yet; the first start makes it", config.data_dir.display());
        return Err(Box::new(Finding::ok(REACHABLE, detail)));
    }
    let options =
        ClusterOptions { data_dir: config.data_dir.clone(), postgres_bin: config.postgres_bin.clone(), durable: true };
    match Cluster::start(options).await {
        Ok(cluster) => Ok((Storage::new(cluster.connect_options(), CONNECTIONS), Some(cluster))),
        Err(error) => Err(wrong(error.into(), "look at postgres.log in the data directory")),
    }
}

fn unreachable(error: &StorageError) -> Finding {
    let state = match error {
        StorageError::Unavailable(error) | StorageError::Database(error) => {
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned()
        }
        _ => String::new(),
    };
    let remedy = match &*state {
        _ if state.starts_with("28") => "correct user and password in DATABASE_URL, or PostgreSQL's pg_hba.conf",
        "3D000" => "make the database (CREATE DATABASE), or correct its name in DATABASE_URL",
        "42501" => "let the role use the database (GRANT CONNECT, GRANT ALL ON SCHEMA)",
        "53300" => "raise max_connections of PostgreSQL, or lower RELIVE_DATABASE_CONNECTIONS",
        _ => "start PostgreSQL, correct DATABASE_URL, or let connections to it through",
    };
    Finding::fail(REACHABLE, error.to_string(), remedy)
}

fn findings(diagnosis: &Diagnosis, config: &DatabaseConfig) -> Vec<Finding> {
    let place = &diagnosis.database.place;
    let size = HumanBytes(u64::try_from(diagnosis.size).unwrap_or_default());
    vec![
        Finding::ok(REACHABLE, format!("{place} answers; the database has {size}")),
        requirements(diagnosis),
        permissions(diagnosis),
        migrations(diagnosis.schema),
        connections(diagnosis.connections, config),
        pooler(diagnosis.is_pooled),
        clock(diagnosis),
    ]
}

fn requirements(diagnosis: &Diagnosis) -> Finding {
    const CHECK: &str = "requirements";
    if let Some(unmet) = &diagnosis.unmet {
        return Finding::fail(CHECK, unmet.to_string(), "as it says");
    }
    let version = &diagnosis.database.version;
    match &diagnosis.database.vector {
        Some(vector) => Finding::ok(CHECK, format!("PostgreSQL {version} with pgvector {vector}")),
        None => Finding::ok(CHECK, format!("PostgreSQL {version}; pgvector is there, and the first start installs it")),
    }
}

fn permissions(diagnosis: &Diagnosis) -> Finding {
    const CHECK: &str = "permissions";
    let (role, closed) = (&diagnosis.role, &diagnosis.closed_tables);
    if closed.is_empty() {
        return Finding::ok(CHECK, format!("{role} may read and write all tables"));
    }
    let shown = closed.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "{role} may not read and write {} tables ({shown}{})",
        closed.len(),
        if closed.len() > 5 { ", …" } else { "" }
    );
    let remedy = format!("as the owner of the tables: GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}");
    Finding::fail(CHECK, detail, remedy)
}

fn migrations(schema: SchemaState) -> Finding {
    const CHECK: &str = "migrations";
    let SchemaState { applied, incomplete, newest } = schema;
    match (applied, incomplete) {
        (_, Some(version)) => Finding::fail(
            CHECK,
            format!("migration {version} was begun and not completed"),
            "restore a backup, or ask for help with the log of that start",
        ),
        (Some(applied), None) if applied > newest => Finding::fail(
            CHECK,
            format!("the schema is that of a newer relive ({applied}; this one has {newest})"),
            "use the newer relive",
        ),
        (Some(applied), None) if applied == newest => Finding::ok(CHECK, format!("the schema is current ({applied})")),
        (applied, None) => {
            let from = applied
                .map_or_else(|| "the database is empty".to_owned(), |version| format!("the schema is {version}"));
            Finding::ok(CHECK, format!("{from}; the next start brings it to {newest}"))
        }
    }
}

fn connections(found: ConnectionUse, config: &DatabaseConfig) -> Finding {
    const CHECK: &str = "databaseConnections";
    let wanted = i64::from(config.database_connections) + OWN;
    let free = found.allowed - found.in_use;
    let detail = format!("{} of {} are in use; a server needs up to {wanted}", found.in_use, found.allowed);
    // A server that runs already has its own among them.
    if free >= wanted {
        Finding::ok(CHECK, detail)
    } else {
        let remedy = "raise max_connections of PostgreSQL, or lower RELIVE_DATABASE_CONNECTIONS";
        Finding::warn(CHECK, detail, remedy)
    }
}

fn pooler(is_pooled: bool) -> Finding {
    const CHECK: &str = "pooler";
    if is_pooled {
        let remedy = "connect to PostgreSQL itself, or set pool_mode = session";
        return Finding::fail(CHECK, "there is a pooler in transaction mode: notices and locks do not work", remedy);
    }
    Finding::ok(CHECK, "there is none in transaction mode")
}

fn clock(diagnosis: &Diagnosis) -> Finding {
    const CHECK: &str = "clock";
    let doubt = diagnosis.round_trip.as_secs_f64() / 2.0;
    let apart = (diagnosis.clock_ahead.abs() - doubt).max(0.0);
    let detail = format!("the database's clock differs by {:.3} s (± {doubt:.3} s)", diagnosis.clock_ahead);
    let remedy = "synchronise both clocks, by chrony or systemd-timesyncd";
    match apart {
        _ if apart > CLOCKS_TOO_FAR => Finding::fail(CHECK, detail, remedy),
        _ if apart > CLOCKS_DIFFER => Finding::warn(CHECK, detail, remedy),
        _ => Finding::ok(CHECK, detail),
    }
}

fn writable(found: Result<Readiness, StorageError>) -> Finding {
    const CHECK: &str = "writable";
    match found {
        Ok(Readiness::Writable) => Finding::ok(CHECK, "the database takes writes"),
        Ok(Readiness::ReadOnly) => Finding::fail(
            CHECK,
            "the database is read-only",
            "connect to the primary, or turn off default_transaction_read_only",
        ),
        Ok(Readiness::Full) => Finding::fail(CHECK, "the disk of the database is full", "make room there"),
        Err(error) => Finding::fail(CHECK, error.to_string(), "look at PostgreSQL's log"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Verdict;
    use super::*;
    use crate::storage::DatabaseDescription;

    fn diagnosis() -> Diagnosis {
        Diagnosis {
            database: DatabaseDescription { place: String::new(), version: "18.1".to_owned(), vector: None },
            role: "relive".to_owned(),
            unmet: None,
            schema: SchemaState { applied: Some(5), incomplete: None, newest: 5 },
            closed_tables: Vec::new(),
            connections: ConnectionUse { allowed: 97, in_use: 10 },
            is_pooled: false,
            size: 0,
            clock_ahead: 0.0,
            round_trip: Duration::from_millis(2),
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let verdict = |clock_ahead, millis| {
            let round_trip = Duration::from_millis(millis);
            clock(&Diagnosis { clock_ahead, round_trip, ..diagnosis() }).verdict
        };
        assert_eq!(verdict(0.5, 2), Verdict::Ok);
        assert_eq!(verdict(-5.0, 2), Verdict::Warn);
        assert_eq!(verdict(61.0, 2), Verdict::Fail);
        // As far as it can be told.
        assert_eq!(verdict(3.0, 4_000), Verdict::Ok);
    }

    #[test]
    fn a_schema_that_is_older_is_brought_up_and_a_newer_one_is_refused() {
        let verdict = |applied, incomplete| migrations(SchemaState { applied, incomplete, newest: 5 }).verdict;
        assert_eq!(verdict(None, None), Verdict::Ok);
        assert_eq!(verdict(Some(4), None), Verdict::Ok);
        assert_eq!(verdict(Some(6), None), Verdict::Fail);
        assert_eq!(verdict(Some(5), Some(5)), Verdict::Fail);
    }
}
