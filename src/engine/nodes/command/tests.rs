use std::path::Path;

use super::super::output::KEPT_BYTES;
use super::*;

fn environment() -> CommandEnvironment {
    CommandEnvironment { session_id: "the-session".into(), node_id: "the-node".into(), server: "http://server".into() }
}

fn spec(command: &str) -> CommandSpec {
    CommandSpec { command: command.to_owned(), ..CommandSpec::default() }
}

async fn run(spec: &CommandSpec) -> CommandAttempt {
    attempt(spec, &environment(), &watch::Sender::new(None), &|_| {}, &CancellationToken::new()).await
}

fn succeeded(attempt: CommandAttempt) -> Value {
    match attempt {
        CommandAttempt::Succeeded { output } => output,
        other => panic!("{other:?}"),
    }
}

fn failed(attempt: CommandAttempt) -> (Value, String) {
    match attempt {
        CommandAttempt::Failed { output, error } => (output, error),
        other => panic!("{other:?}"),
    }
}

/// Waits until `check` holds. The deadline is only for a test that fails.
async fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !check() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn pid_in(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A process that has ended but that nobody has waited for yet is not alive.
fn is_alive(pid: i32) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().expect("ps");
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn both_outputs_arrive_in_the_order_they_were_written() {
    let output = succeeded(run(&spec("echo one; echo two >&2; echo three; printf four >&2")).await);
    assert_eq!(output["output"], "one\ntwo\nthree\nfour");
    assert_eq!((&output["exitCode"], &output["truncatedBytes"]), (&json!(0), &json!(0)));
    assert!(output["durationMs"].is_u64());
}

#[tokio::test]
async fn a_failure_says_the_status_and_the_last_line() {
    let (output, error) = failed(run(&spec("echo fine; echo 'no such luck' >&2; echo; exit 2")).await);
    assert_eq!((error.as_str(), &output["exitCode"]), ("exit status 2: no such luck", &json!(2)));
    let (output, error) = failed(run(&spec("kill -9 $$")).await);
    assert_eq!((error.as_str(), &output["exitCode"]), ("killed by signal 9", &json!(137)));
    let (_, error) = failed(run(&CommandSpec { cwd: Some("/no/such/place".into()), ..spec("true") }).await);
    assert!(error.starts_with("cannot start sh in /no/such/place"), "{error}");
}

#[tokio::test]
async fn the_environment_and_the_directory_are_as_asked() {
    let spec = CommandSpec {
        cwd: Some("/".into()),
        env: [("MINE".to_owned(), "yes".to_owned())].into(),
        ..spec("echo $RELIVE_SESSION_ID $RELIVE_NODE_ID $RELIVE_SERVER $MINE; pwd; cat")
    };
    assert_eq!(succeeded(run(&spec).await)["output"], "the-session the-node http://server yes\n/\n");
}

#[tokio::test]
async fn only_the_end_of_a_long_output_is_kept() {
    let output = succeeded(run(&spec("awk 'BEGIN { for (i = 0; i < 20000; i++) printf \"%09d\\n\", i }'")).await);
    let text = output["output"].as_str().expect("text");
    assert!(text.len() <= KEPT_BYTES && text.len() > KEPT_BYTES - 10, "{}", text.len());
    assert!(text.ends_with("000019998\n000019999\n"));
    assert_eq!(output["truncatedBytes"], 200_000 - text.len());
}

#[tokio::test]
async fn bytes_that_are_no_text_are_made_some() {
    assert_eq!(succeeded(run(&spec(r"printf 'a\377b\000c'")).await)["output"], "a\u{fffd}bc");
}

#[tokio::test]
async fn lines_are_handed_over_as_they_come_and_progress_and_blank_ones_are_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let go = dir.path().join("go");
    let command =
        "echo one; echo; echo '::progress 0.5'; while ! test -e GO; do sleep 0.01; done; printf 'two\\r\\nthree'";
    let spec = spec(&command.replace("GO", &go.display().to_string()));
    let seen = parking_lot::Mutex::new(Vec::new());
    let lines = |line: &str| {
        seen.lock().push(line.to_owned());
        // The command waits until its first line has come.
        std::fs::write(&go, "").expect("written");
    };
    succeeded(attempt(&spec, &environment(), &watch::Sender::new(None), &lines, &CancellationToken::new()).await);
    assert_eq!(*seen.lock(), ["one", "two", "three"]);
}

#[tokio::test]
async fn progress_is_reported_and_not_kept() {
    let (sender, receiver) = watch::channel(None);
    let spec = spec("echo before; echo '::progress 0.4'; echo after");
    let output = succeeded(attempt(&spec, &environment(), &sender, &|_| {}, &CancellationToken::new()).await);
    assert_eq!(output["output"], "before\nafter\n");
    assert_eq!(*receiver.borrow(), Progress::new(0.4));
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pid");
    let command = format!("(sleep 300 & echo $! > '{}'; wait) & wait", file.display());
    let spec = CommandSpec { timeout: Some(Duration::from_secs(1)), ..spec(&command) };
    let (_, error) = failed(run(&spec).await);
    assert_eq!(error, "timed out after 1 s");
    let grandchild = pid_in(&file).expect("the grandchild's id");
    assert!(!is_alive(grandchild));
}

#[tokio::test]
async fn what_ignores_the_request_to_end_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pid");
    let spec = spec(&format!("trap '' TERM; echo $$ > '{}'; while :; do sleep 1; done", file.display()));
    let stop = CancellationToken::new();
    let (environment, progress) = (environment(), watch::Sender::new(None));
    let stopped = attempt(&spec, &environment, &progress, &|_| {}, &stop);
    let cancel = async {
        eventually("the command runs", || pid_in(&file).is_some()).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(stopped, cancel);
    assert_eq!(ended, CommandAttempt::Stopped);
    assert!(!is_alive(pid_in(&file).expect("its id")));
}

#[tokio::test]
async fn a_background_process_does_not_outlive_its_node() {
    let output = succeeded(run(&spec("sleep 300 & echo $!")).await);
    let pid = output["output"].as_str().and_then(|text| text.trim().parse().ok()).expect("an id");
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn dropping_an_attempt_kills_the_group() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pid");
    let spec = spec(&format!("sleep 300 & echo $! > '{}'; wait", file.display()));
    let (environment, progress, stop) = (environment(), watch::Sender::new(None), CancellationToken::new());
    tokio::select! {
        ended = attempt(&spec, &environment, &progress, &|_| {}, &stop) => panic!("{ended:?}"),
        () = eventually("the command runs", || pid_in(&file).is_some()) => {}
    }
    let child = pid_in(&file).expect("its id");
    eventually("the child is gone", || !is_alive(child)).await;
}
