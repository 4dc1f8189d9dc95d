//! The version of this program, with the commit it was built from and the day of that. `build.rs` finds them.

/// The version alone, as packages have it.
pub const NUMBER: &str = env!("CARGO_PKG_VERSION");
/// The commit, shortened; `unknown` where it was built without git and without being told. A build for development has
/// `+dev` behind it: it may have later commits in it, and changes that are not committed.
pub const COMMIT: &str = env!("VERSION_COMMIT");
/// The day of the build, UTC: `2026-11-26`.
pub const BUILD_DATE: &str = env!("VERSION_DATE");
/// As `relive --version` has it.
pub const TEXT: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("VERSION_COMMIT"), ", built ", env!("VERSION_DATE"), ")");
