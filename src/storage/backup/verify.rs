//! Checks a backup without a database: its checksum, and that the dump has what the manifest says.

use std::collections::BTreeMap;
use std::path::Path;

use super::client::{self, ClientPrograms};
use super::file::OpenBackup;
use super::{BackupError, Manifest};

/// Reads a backup to its end.
///
/// # Errors
///
/// If it is not whole, or `pg_restore` is missing or cannot read it.
pub async fn verify(path: &Path, programs: &ClientPrograms) -> Result<Manifest, BackupError> {
    let backup = OpenBackup::open(path).await?;
    backup.check().await?;
    let major = major(&backup.manifest);
    let program = programs.find("pg_restore", major)?;
    let mut rows = RowCounter::default();
    client::script(&program, &mut backup.dump().await?, |piece| rows.push(piece)).await?;
    let expected: BTreeMap<&str, i64> =
        backup.manifest.rows.iter().map(|(table, rows)| (table.as_str(), *rows)).collect();
    for (table, expected) in expected {
        let found = rows.rows.get(table).copied().unwrap_or_default();
        if found != expected {
            let why = format!("{table} has {found} rows, and {expected} by the manifest");
            return Err(BackupError::Damaged { path: path.to_owned(), why });
        }
    }
    Ok(backup.manifest)
}

/// The major version of the PostgreSQL that a backup is of.
pub(super) fn major(manifest: &Manifest) -> u32 {
    let digits = manifest.postgres.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// Counts the rows of each table in a script of `pg_restore`, which comes in pieces.
#[derive(Default)]
struct RowCounter {
    rows: BTreeMap<String, i64>,
    /// The table whose rows are coming.
    table: Option<String>,
    line: Line,
}

/// The beginning of a line: enough to tell where rows begin and end.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
}

impl RowCounter {
    /// Longer lines are rows.
    const LONGEST: usize = 64 << 10;

    fn push(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let room = Self::LONGEST.saturating_sub(self.line.text.len());
            self.line.text.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line.text);
        match &self.table {
            Some(_) if line == b"\\." => self.table = None,
            Some(table) => *self.rows.entry(table.clone()).or_default() += 1,
            None => self.table = table_of(&line),
        }
    }
}

/// The table of `COPY public.sessions (id, …) FROM stdin;`.
fn table_of(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("COPY ").filter(|rest| rest.ends_with(" FROM stdin;"))?;
    let name = rest.split(" (").next()?;
    let table = name.rsplit('.').next()?;
    Some(table.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_however_the_script_is_cut() {
        let script = "SET x;\nCOPY public.sessions (id, name) FROM stdin;\n1\ta\\nb\n2\tCOPY public.x (y) FROM stdin;\n\\.\n\n\
                      COPY public.empty (id) FROM stdin;\n\\.\nCOPY public.\"odd\" (id) FROM stdin;\n\n\\.\n";
        for size in [1, 2, 7, script.len()] {
            let mut counter = RowCounter::default();
            script.as_bytes().chunks(size).for_each(|piece| counter.push(piece));
            let rows: Vec<(&str, i64)> = counter.rows.iter().map(|(table, rows)| (table.as_str(), *rows)).collect();
            assert_eq!(rows, [("odd", 1), ("sessions", 2)], "{size}");
        }
    }
}
