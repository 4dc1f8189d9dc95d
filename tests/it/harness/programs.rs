//! Programs of others that some tests run.

use std::path::PathBuf;

use super::disk::left_out;

/// The program, where it is installed. Otherwise what it is needed for is left out, and with `CI=true` the
/// test fails.
pub fn find(what: &str, program: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|path| path.is_file());
    if found.is_none() {
        let how = format!("it is not installed (Debian: apt-get install --no-install-recommends {package})");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{program}: {how}");
        left_out(what, &how);
    }
    found
}
