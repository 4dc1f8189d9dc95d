//! Reads a spooled file again, as the rows to be written.

use std::io;

use super::error::{ImportError, ImportFault};
use super::spool::{SpoolReader, SpoolRecord};
use relive_protocol::ArchiveLine;

/// What is to be written of a file.
pub(super) enum ImportRow {
    Line { number: u64, bytes: usize, line: Box<ArchiveLine> },
    Keyframe { revision: u64, state: String },
}

pub(super) fn parse(mut spool: SpoolReader) -> Result<(SpoolReader, Vec<ImportRow>), ImportError> {
    let row = |record| {
        Ok(match record {
            SpoolRecord::Line { number, text } => {
                let line = serde_json::from_slice(&text).map_err(|error| ImportFault::Json(error).at(number))?;
                ImportRow::Line { number, bytes: text.len(), line: Box::new(line) }
            }
            SpoolRecord::Keyframe { revision, state } => {
                ImportRow::Keyframe { revision, state: String::from_utf8(state).map_err(io::Error::other)? }
            }
        })
    };
    let rows = spool.next_batch()?.into_iter().map(row).collect::<Result<_, ImportError>>()?;
    Ok((spool, rows))
}
