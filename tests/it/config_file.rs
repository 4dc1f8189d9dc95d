//! The configuration file, beside flags and variables.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::harness::{DEADLINE, Database, ServerProcess};

/// Runs `relive` in this directory; gives the exit code, and what it wrote to standard output and to standard error.
async fn relive(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.args(arguments).current_dir(directory).env_remove("DATABASE_URL").envs(variables.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let Output { status, stdout, stderr } = ended.expect("ends in time").expect("relive");
    let text = |bytes| String::from_utf8(bytes).expect("a text");
    (status.code(), text(stdout), text(stderr))
}

/// The value and the source of a setting that `relive config show` has printed.
fn shown<'a>(printed: &'a str, key: &str) -> (&'a str, &'a str) {
    let line =
        printed.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap_or_else(|| panic!("{printed}"));
    let (setting, source) = line.split_once("  # ").expect("a source");
    (setting[key.len() + 3..].trim(), source)
}

#[tokio::test]
async fn a_flag_goes_before_a_variable_and_a_variable_before_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "max_sockets = 5\nidle_seconds = 1.5\nallow_anonymous = true\nlisten = \"127.0.0.1:81\"\n\
                allow_origin = [\"https://a.example\", \"https://b.example\"]\n";
    std::fs::write(directory.path().join("relive.toml"), text).expect("a file");
    let variables = [("RELIVE_MAX_SOCKETS", "6"), ("RELIVE_LISTEN", "127.0.0.1:82"), ("RELIVE_IDLE_SECONDS", "")];
    let (code, printed, said) = relive(directory.path(), &["config", "show", "--max-sockets", "7"], &variables).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(shown(&printed, "max_sockets"), ("7", "flag"));
    assert_eq!(shown(&printed, "listen"), ("\"127.0.0.1:82\"", "RELIVE_LISTEN"));
    assert_eq!(shown(&printed, "idle_seconds"), ("1.5", "relive.toml:2"));
    assert_eq!(shown(&printed, "allow_anonymous"), ("true", "relive.toml:3"));
    assert_eq!(shown(&printed, "allow_origin").0, "[\"https://a.example\", \"https://b.example\"]");
    assert_eq!(shown(&printed, "head_seconds"), ("30", "default"));
    assert!(printed.contains("\n# llm_url =") && printed.starts_with("# relive.toml\n"), "{printed}");

    // What was printed is a configuration file, with the same settings.
    let copy = directory.path().join("copy.toml");
    std::fs::write(&copy, &printed).expect("a file");
    let arguments = ["config", "show", "--config", "copy.toml"];
    let (code, again, said) = relive(directory.path(), &arguments, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(shown(&again, "max_sockets").0, "7");
    assert!(shown(&again, "allow_anonymous").1.starts_with("copy.toml:"), "{again}");
}

#[tokio::test]
async fn every_fault_is_named_with_its_line_and_nothing_starts() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("wrong.toml");
    let text =
        "# wrong\nmax_socket = 5\nlog_format = \"xml\"\nlisten = \"localhost\"\nroot_key = 5\n\n[tls]\ncert = \"x\"\n";
    std::fs::write(&file, text).expect("a file");
    let faults = [
        "wrong.toml:2: there is no setting max_socket; did you mean max_sockets?",
        "wrong.toml:3: log_format: ",
        "possible values: text, json",
        "wrong.toml:4: listen: the port is missing",
        "wrong.toml:7: there is no table tls",
    ];
    let data = directory.path().join("data");
    let data_dir = data.to_str().expect("a path");
    for (arguments, expected) in [
        (&["config", "check", "wrong.toml"][..], 1),
        (&["config", "show", "--config", "wrong.toml"], 2),
        (&["serve", "--config", "wrong.toml", "--data-dir", data_dir], 2),
        (&["keys", "list", "--config", "wrong.toml", "--data-dir", data_dir], 2),
    ] {
        let (code, printed, said) = relive(directory.path(), arguments, &[]).await;
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(faults.iter().all(|fault| said.contains(fault)), "{arguments:?}: {said}");
        assert!(!said.contains("wrong.toml:5") && printed.is_empty() && !data.exists(), "{arguments:?}: {said}");
    }
    std::fs::write(&file, "max_sockets = 5\n").expect("a file");
    let (code, _, said) = relive(directory.path(), &["config", "check", "wrong.toml"], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    // Settings that are fine each, and not together.
    std::fs::write(&file, "oidc_client_id = \"relive\"\n").expect("a file");
    let (code, _, said) = relive(directory.path(), &["config", "show", "--config", "wrong.toml"], &[]).await;
    assert!(code == Some(1) && said.contains("--oidc-issuer"), "{said}");
    for arguments in [["config", "check", "none.toml"], ["config", "show", "--config=none.toml"]] {
        let (code, _, said) = relive(directory.path(), &arguments, &[]).await;
        assert!(code != Some(0) && said.contains("none.toml"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn secrets_come_from_files_of_their_own_and_are_not_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = Database::create().await.url();
    std::fs::write(directory.path().join("url"), format!("{url}\n")).expect("a file");
    std::fs::write(directory.path().join("key"), "a-secret-of-24-characters\n").expect("a file");
    let config = directory.path().join("relive.toml");
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(&config, format!("database_url_file = {:?}\n", path("url"))).expect("a file");
    let key_file = path("key");
    let variables = [("RELIVE_ROOT_KEY_FILE", key_file.as_str())];
    let (code, printed, said) = relive(directory.path(), &["config", "show"], &variables).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(shown(&printed, "database_url"), ("\"***\"", "relive.toml:1"));
    assert_eq!(shown(&printed, "root_key"), ("\"***\"", "RELIVE_ROOT_KEY_FILE"));
    assert!(!printed.contains("a-secret") && !printed.contains("postgres://"), "{printed}");

    let config = config.display().to_string();
    let server = ServerProcess::start(&[("RELIVE_CONFIG", &config), ("RELIVE_ROOT_KEY_FILE", &key_file)]).await;
    let sessions = format!("http://{}/api/v1/sessions", server.address);
    let status = async |key: &str| {
        let request = reqwest::Client::new().get(&sessions).bearer_auth(key);
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!((status("a-secret-of-24-characters").await, status("another").await), (200, 401));
    assert_eq!(server.terminate().await, Some(0));

    let both = [("RELIVE_ROOT_KEY_FILE", key_file.as_str()), ("RELIVE_ROOT_KEY", "x")];
    let (code, _, said) = relive(directory.path(), &["config", "show"], &both).await;
    assert!(code == Some(2) && said.contains("both RELIVE_ROOT_KEY and RELIVE_ROOT_KEY_FILE are set"), "{said}");
    let gone = [("RELIVE_ROOT_KEY_FILE", "/nowhere/key")];
    let (code, _, said) = relive(directory.path(), &["serve"], &gone).await;
    assert!(code == Some(2) && said.contains("RELIVE_ROOT_KEY_FILE: cannot read /nowhere/key"), "{said}");
}

#[tokio::test]
async fn unknown_variables_are_named_and_only_near_ones_suggested() {
    let directory = tempfile::tempdir().expect("a directory");
    let variables = [("RELIVE_MAXSOCKETS", "5"), ("RELIVE_DATABASE_URL", "x"), ("RELIVE_COLOUR", "red")];
    let (code, _, said) = relive(directory.path(), &["config", "show"], &variables).await;
    assert_eq!(code, Some(0), "{said}");
    let named = |text: &str| said.lines().any(|line| line == format!("relive: there is no setting {text}"));
    assert!(named("RELIVE_MAXSOCKETS; did you mean RELIVE_MAX_SOCKETS?"), "{said}");
    assert!(named("RELIVE_DATABASE_URL; did you mean DATABASE_URL?"), "{said}");
    assert!(named("RELIVE_COLOUR"), "{said}");
}
