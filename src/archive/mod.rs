//! A session as a file of lines (NDJSON): written by `export`, read back by `import`.
//!
//! ```text
//! export: journal, messages, memories ─ pages ─▶ RunningChecksum ─▶ lines
//! import: lines ─▶ RunningChecksum ─▶ ImportValidator ─▶ Spool, until the file is whole ─▶ ImportWriter
//! ```
//!
//! [`Archive`] moves sessions to such files for good, compressed, and back.
//!
//! Both use bounded memory: an export reads pages of bounded size and holds nothing in the database between
//! them; an import checks line by line into a temporary file, and writes it in one transaction once all of it
//! has arrived and is valid.

mod archiver;
mod checksum;
mod credentials;
mod error;
mod export;
mod import;
mod limits;
mod lines;
mod packing;
mod place;
mod rows;
mod spool;
mod validator;
mod writer;

pub(crate) use checksum::RunningChecksum;
pub(crate) use import::receive_only;

pub use archiver::{Archive, ArchiveError};
pub use error::{ImportError, ImportFault};
pub use export::export;
pub use import::{Imports, ReceivedFile};
pub use limits::ImportLimits;
pub use place::{PlaceError, PlaceOptions};

/// Bytes of one line at most. The longest are those with a whole state: the first line, and the
/// first event of a fork.
pub const LINE_BYTES: usize = 16 * 1024 * 1024;
