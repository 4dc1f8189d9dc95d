//! A session as a file of lines (NDJSON): written by `export`, read back by `import`.
//!
//! ```text
//! journal, messages, memories ─ pages ─▶ Seal ─▶ lines ─▶ … ─▶ lines ─▶ Seal ─▶ Checker ─▶ one transaction
//! ```
//!
//! Both work in memory that does not grow with the session: an export reads pages of bounded size and
//! holds nothing in the database between them; an import checks line by line and writes as it goes,
//! in one transaction that is taken back when anything is wrong.

mod checker;
mod error;
mod export;
mod import;
mod lines;
mod seal;
mod target;

pub use error::{ImportError, Wrong};
pub use export::export;
pub use import::{ImportLimits, Imports};

/// Bytes of one line at most. The longest are those that hold a whole state: the first line, and the
/// first event of a fork.
pub const LINE_BYTES: usize = 16 * 1024 * 1024;
