//! A disk that becomes full.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file system in memory that can be filled. Only root can mount one.
pub struct SmallDisk {
    mounted: PathBuf,
}

impl SmallDisk {
    /// `None` where this cannot be done.
    pub fn mount(at: &Path) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() || !cfg!(target_os = "linux") {
            return None;
        }
        std::fs::create_dir_all(at).expect("a directory");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1g,mode=0711", "tmpfs"])
            .arg(at)
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self { mounted: at.to_owned() })
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }

    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).expect("a file");
        let piece = vec![0; 1024 * 1024];
        while file.write_all(&piece).is_ok() {}
        while file.write_all(&piece[..4096]).is_ok() {}
    }

    pub fn empty(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.mounted).status();
    }
}

/// Says that something was not tested, and why, also where the output of a test that passes is not shown.
pub fn left_out(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr().lock(), "NOT TESTED: {what}: {why}");
}
