//! The modules and who may import whom, as ARCHITECTURE.md has it.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const EVERYTHING: &[&str] = &[
    "access",
    "alerts",
    "archive",
    "backoff",
    "client",
    "config",
    "embeddings",
    "endpoint",
    "engine",
    "fuzzing",
    "http",
    "hub",
    "models",
    "nats",
    "otlp",
    "protocol",
    "replay",
    "schedules",
    "scoped",
    "server",
    "session",
    "spans",
    "storage",
    "telemetry",
    "version",
    "webhooks",
    "ws",
    "cli",
];

/// The crates below `crates/`. What they may use of each other stands in their manifests.
const CRATES: &[&str] = &["backoff", "session", "protocol", "client"];

/// Each module of the server and what it may import of ours.
const TABLE: &[(&str, &[&str])] = &[
    ("storage", &["backoff", "session"]),
    ("sync", &[]),
    ("spans", &["session"]),
    ("hub", &["backoff", "session", "storage", "sync", "spans"]),
    ("endpoint", &["session"]),
    ("embeddings", &["backoff", "session", "storage", "endpoint"]),
    ("models", &["backoff", "session", "endpoint"]),
    ("nats", &["hub"]),
    ("replay", &["session", "storage"]),
    ("access", &["backoff", "session", "storage"]),
    ("scoped", &["access", "session", "hub", "storage", "spans"]),
    ("archive", &["session", "protocol", "storage", "hub"]),
    ("otlp", &["access", "scoped", "session", "hub", "storage"]),
    ("webhooks", &["session", "storage", "endpoint"]),
    ("alerts", &["session", "storage", "webhooks", "endpoint"]),
    ("schedules", &["access", "scoped", "session", "hub", "storage", "engine"]),
    (
        "engine",
        &["backoff", "session", "protocol", "hub", "client", "storage", "embeddings", "models", "endpoint", "spans"],
    ),
    ("ws", &["access", "scoped", "session", "protocol", "hub", "replay", "storage", "sync", "spans"]),
    (
        "http",
        &[
            "access",
            "scoped",
            "session",
            "protocol",
            "hub",
            "replay",
            "engine",
            "storage",
            "spans",
            "ws",
            "embeddings",
            "archive",
            "otlp",
            "webhooks",
            "schedules",
            "telemetry",
            "alerts",
        ],
    ),
    ("config", &[]),
    ("telemetry", &["version"]),
    ("version", &[]),
    ("server", EVERYTHING),
    ("fuzzing", EVERYTHING),
    ("cli", &["access", "session", "storage", "server", "config", "telemetry", "version", "client", "engine"]),
    ("main", &["cli"]),
];

/// What only the storage module may write.
const SQL: &[&str] = &["sqlx::query", "sqlx::raw_sql", "QueryBuilder", "query_as", "query_scalar", "AssertSqlSafe"];

pub fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("src") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Each source file's module, path and code without its comments.
fn modules() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        let module = name.split(['/', '.']).next().expect("a module").to_owned();
        let text = std::fs::read_to_string(&path).expect("a text");
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        (module, name, text.lines().filter(is_code).collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// The modules of this crate that some code names: `crate::hub::…`, `use crate::{hub, ws::…}`, and
/// in the binary `relive::…`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut imports = BTreeSet::new();
    for root in ["crate::", "relive::"] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => imports.extend(members(group).iter().map(|member| word(member))),
                None => drop(imports.insert(word(rest))),
            }
        }
    }
    for name in CRATES {
        let path = format!("relive_{name}::");
        if code.match_indices(&path).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
            imports.insert((*name).to_owned());
        }
    }
    imports
}

/// The members of a `{…}` group, whose opening brace has been read.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut members) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                members.last_mut().expect("a member").push(c);
            }
        }
    }
    let trimmed = members.into_iter().map(|member| member.trim().to_owned());
    trimmed.filter(|member| !member.is_empty()).collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let known: BTreeSet<&str> = TABLE.iter().map(|(module, _)| *module).chain(CRATES.iter().copied()).collect();
    let mut arrows = 0;
    for (module, file, code) in modules() {
        if module == "lib" {
            continue;
        }
        let (_, allowed) =
            TABLE.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("{file}: no such module"));
        for import in imports(&code).into_iter().filter(|import| known.contains(&**import) && *import != module) {
            assert!(allowed.contains(&&*import), "src/{file}: {module} must not import {import}");
            arrows += 1;
        }
    }
    assert!(arrows > 30, "only {arrows} imports found; is this test reading the sources?");
}

#[test]
fn only_storage_speaks_sql() {
    for (module, file, code) in modules().into_iter().filter(|(module, ..)| module != "storage") {
        for word in SQL {
            assert!(!code.contains(word), "src/{file}: `{word}` belongs into storage, not {module}");
        }
    }
}

/// The types that a line declares for other files.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line
        .strip_prefix("pub ")
        .or_else(|| line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")?.1.into()))?;
    let name = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| rest.strip_prefix(kind))?;
    name.split(|c: char| !c.is_alphanumeric()).next()
}

#[test]
fn a_name_is_of_one_type_only() {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (_, file, code) in modules() {
        for name in code.lines().filter_map(declared) {
            if let Some(other) = files.insert(name.to_owned(), file.clone()) {
                panic!("`{name}` is a type in src/{other} and in src/{file}");
            }
        }
    }
    assert!(files.len() > 300, "only {} types found; is this test reading the sources?", files.len());
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let code = "use crate::hub::{Hub, LiveSession};\nuse crate::{\n    ws::Gateway,\n    storage::{self, cluster::{Cluster}}, http,\n};\n\
                fn f() { crate::engine::run(); mycrate::server::x(); relive_client::y() }";
    let expected = ["client", "engine", "http", "hub", "storage", "ws"].map(str::to_owned);
    assert_eq!(imports(code), BTreeSet::from(expected));
}

#[test]
fn the_table_allows_nothing_that_nobody_needs() {
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    for (module, _, code) in modules() {
        used.extend(imports(&code).into_iter().map(|import| (module.clone(), import)));
    }
    for (module, allowed) in TABLE.iter().filter(|(_, allowed)| *allowed != EVERYTHING) {
        for import in *allowed {
            let arrow = ((*module).to_owned(), (*import).to_owned());
            assert!(used.contains(&arrow), "{module} does not import {import}: take it out of the table");
        }
    }
}
