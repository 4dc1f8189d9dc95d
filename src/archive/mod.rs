//! A session as a file of lines (NDJSON): written by `export`, read back by `import`.
//!
//! ```text
//! export: journal, messages, memories ─ pages ─▶ RunningChecksum ─▶ lines
//! import: lines ─▶ RunningChecksum ─▶ ImportValidator ─▶ Spool, until the file is whole ─▶ ImportWriter
//! ```
//!
//! Both use bounded memory: an export reads pages of bounded size and holds nothing in the database between
//! them; an import checks line by line into a temporary file, and writes it in one transaction once all of it
//! has arrived and is valid.

mod checksum;
mod error;
mod export;
mod import;
mod limits;
mod lines;
mod rows;
mod spool;
mod validator;
mod writer;

pub(crate) use checksum::RunningChecksum;
pub(crate) use import::receive_only;

pub use error::{ImportError, ImportFault};
pub use export::export;
pub use import::{Imports, ReceivedFile};
pub use limits::ImportLimits;

/// Bytes of one line at most. The longest are those with a whole state: the first line, and the
/// first event of a fork.
pub const LINE_BYTES: usize = 16 * 1024 * 1024;
