//! Programs of Node for tests, with packages of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// How long a program may take: on a busy machine Node alone takes many seconds.
const ENDED: Duration = Duration::from_secs(120);

/// Installs the packages of a directory, as its lock file has them. False where there is no Node: then the tests are
/// passed over, except where `CI` says that all of them are to run.
pub async fn is_installed(directory: PathBuf) -> bool {
    let name = directory.file_name().expect("a name").to_string_lossy().into_owned();
    let outcome = tokio::task::spawn_blocking(move || install(&directory)).await.expect("not cancelled");
    let Err(problem) = outcome else { return true };
    let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!is_ci, "the packages of tests/{name} cannot be installed: {problem}");
    eprintln!("passed over, for the packages of tests/{name} cannot be installed: {problem}");
    false
}

fn install(directory: &Path) -> Result<(), String> {
    // Several test processes may want it at the same moment.
    let name = directory.file_name().expect("a name").to_string_lossy();
    let lock = std::fs::File::create(std::env::temp_dir().join(format!("relive-test-{name}.lock"))).expect("a lock");
    lock.lock().expect("locked");
    let (mark, wanted) = (directory.join("node_modules/.package-lock.json"), directory.join("package-lock.json"));
    let written = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if written(&mark).is_some_and(|mark| Some(mark) >= written(&wanted)) {
        let node = std::process::Command::new("node").arg("--version").output();
        return node.map_err(|error| format!("node: {error}")).map(|_| ());
    }
    let install = std::process::Command::new("npm")
        .args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(directory)
        .output()
        .map_err(|error| format!("npm: {error}"))?;
    if install.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&install.stderr).into_owned()) }
}

/// A program in `tests/standards`.
#[derive(Clone, Copy, Debug)]
pub struct Script(&'static str);

impl Script {
    /// `None` where there is no Node.
    pub async fn find(name: &'static str) -> Option<Self> {
        static INSTALLED: OnceCell<bool> = OnceCell::const_new();
        INSTALLED.get_or_init(|| is_installed(directory())).await.then_some(Self(name))
    }

    /// Runs it with this input; returns its output. Both are JSON.
    pub async fn run(self, input: &Value) -> Value {
        let mut command = Command::new("node");
        command.arg(self.0).current_dir(directory()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("node");
        let mut stdin = child.stdin.take().expect("stdin");
        let input = input.to_string();
        let writing = async {
            stdin.write_all(input.as_bytes()).await.expect("written");
            drop(stdin);
        };
        let ended = async { tokio::join!(writing, child.wait_with_output()).1.expect("its output") };
        let output = tokio::time::timeout(ENDED, ended).await.expect("the program ends in time");
        assert!(output.status.success(), "{}: {}", self.0, String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standards")
}
