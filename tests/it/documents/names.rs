//! Routes, metrics, error codes, close codes, files and types, as the documents name them.

use std::collections::BTreeSet;
use std::path::Path;

use relive::telemetry::{COUNTERS, GAUGES, HISTOGRAMS};
use relive_protocol::ErrorCode;
use serde_json::{Value, json};

use super::markdown::{Document, all, code_words, root};
use crate::harness::TestServer;

/// Directories of source texts.
const SOURCES: [&str; 9] =
    ["src", "crates", "tests", "benches", "dashboard", "frontend-types", "sdk", "migrations", "scripts"];
/// What is not written by hand, or is large.
const NOT_SOURCES: [&str; 4] = ["node_modules", "dist", "target", "dashboard.html"];

fn collect(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if NOT_SOURCES.contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.push((name, text));
        }
    }
}

/// The sources of the repository, as path and text.
pub fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    SOURCES.iter().for_each(|directory| collect(&root().join(directory), &mut found));
    found
}

/// The path of a route in a text: from its first slash to whatever cannot stand in it.
fn path_of(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '?' | ')' | ',' | '|'));
    text[..end.unwrap_or(text.len())].trim_end_matches(['.', ':', ';'])
}

/// The routes a document names, with their methods if they stand before them.
fn routes(text: &str) -> Vec<(Option<&'static str>, String)> {
    let mut routes = Vec::new();
    for start in ["/api/", "/ws", "/healthz", "/readyz", "/metrics", "/sessions", "/memories", "/workflows", "/agents"]
    {
        for (at, _) in text.match_indices(start) {
            let before = &text[..at];
            let is_continued =
                before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '}' | '…' | '.' | '_'));
            let is_address = before.ends_with("localhost:7400") || before.ends_with("127.0.0.1:7400");
            let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
            let method = methods.into_iter().find(|method| before.ends_with(&format!("{method} ")));
            let is_code = before.ends_with('`') || method.is_some() || is_address || before.ends_with('\n');
            let path = path_of(&text[at..]);
            if is_code && (!is_continued || is_address) && !path.contains('…') && !path.ends_with(".md") {
                routes.push((method, path.to_owned()));
            }
        }
    }
    routes
}

/// Whether a path that a document names is one of the server's: `{id}`, `$ID` and the like stand for anything.
fn is_route(path: &str, known: &str) -> bool {
    let is_hole = |part: &str| part.starts_with(['{', '$', '<']) || part.starts_with("0198c0de");
    let (given, known): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), known.split('/').collect());
    let fits = |(given, known): (&&str, &&str)| {
        given == known || (known.starts_with('{') && (is_hole(given) || given.len() > 2))
    };
    given.len() == known.len() && given.iter().zip(&known).all(fits)
}

#[tokio::test]
async fn every_route_that_a_document_names_exists() {
    let (_, openapi) = TestServer::start().await.get("/api/openapi.json").await;
    let paths = openapi["paths"].as_object().expect("paths");
    let mut seen = 0;
    for document in all() {
        for (method, path) in routes(&document.text) {
            let full = if path.starts_with("/api/")
                || !["/sessions", "/memories", "/workflows", "/agents"].iter().any(|short| path.starts_with(short))
            {
                path.clone()
            } else {
                format!("/api/v1{path}")
            };
            let fits = |(known, item): (&String, &Value)| {
                is_route(&full, known) && method.is_none_or(|method| item.get(method.to_lowercase()).is_some())
            };
            assert!(paths.iter().any(fits), "{}: there is no {} {path}", document.name, method.unwrap_or("route"));
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} routes found; is this test reading the documents?");
}

/// The metrics that the sources record, each with its kind.
fn recorded_metrics() -> BTreeSet<(String, String)> {
    let mut recorded = BTreeSet::new();
    for (_, text) in sources().iter().filter(|(name, _)| name.starts_with("src/") || name.starts_with("crates/")) {
        for kind in ["counter", "gauge", "histogram"] {
            for (at, call) in text.match_indices(&format!("{kind}!(")) {
                let argument = text[at + call.len()..].trim_start();
                if let Some(name) = argument.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    recorded.insert((name.to_owned(), kind.to_owned()));
                }
            }
        }
    }
    recorded
}

#[test]
fn every_metric_is_listed_with_its_kind() {
    let rows = Document::read("docs/operating.md").section("Metrics").rows();
    let listed: BTreeSet<(String, String)> =
        rows.iter().map(|row| (code_words(&row[0]).concat(), row[1].clone())).collect();
    assert_eq!(listed, recorded_metrics());
}

#[test]
fn every_metric_has_a_description() {
    let kinds = [("counter", COUNTERS), ("gauge", GAUGES), ("histogram", HISTOGRAMS)];
    let described: BTreeSet<(String, String)> = kinds
        .iter()
        .flat_map(|(kind, all)| all.iter().map(|(name, _)| ((*name).to_owned(), (*kind).to_owned())))
        .collect();
    assert_eq!(described, recorded_metrics());
}

/// `make prometheus` runs the queries; this finds a misspelled name sooner.
#[test]
fn the_alerts_and_the_dashboard_query_metrics_that_exist() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (name, kind) in recorded_metrics() {
        if kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        } else {
            known.insert(name);
        }
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for file in ["deploy/prometheus/rules.yml", "deploy/grafana/relive.json"] {
        let text = std::fs::read_to_string(root().join(file)).expect(file);
        let expressions = text.lines().filter(|line| line.contains("expr") || line.starts_with("          "));
        let mut seen = 0;
        for line in expressions {
            for (at, _) in line.match_indices("relive_").filter(|(at, _)| !line[..*at].ends_with(is_part)) {
                let name: String = line[at..].chars().take_while(|c| is_part(*c)).collect();
                assert!(known.contains(&name), "{file}: there is no metric {name}");
                seen += 1;
            }
        }
        assert!(seen > 10, "{file}: only {seen} metrics found");
    }
}

#[test]
fn every_error_code_that_a_limit_leads_to_exists() {
    let mut seen = 0;
    for section in Document::read("docs/limits.md").sections() {
        for row in section.rows() {
            for word in
                code_words(&row[2]).iter().filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            {
                let code: Result<ErrorCode, _> = serde_json::from_value(json!(word));
                assert!(code.is_ok() || word == "after" || word == "limit", "docs/limits.md: there is no code {word}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} codes found");
}

#[test]
fn every_close_code_that_a_document_names_exists() {
    let table = Document::read("docs/protocol.md").section("Close codes").rows();
    let known: BTreeSet<String> = table.into_iter().map(|row| row[0].clone()).collect();
    for document in all() {
        for (at, words) in document.text.match_indices("closed with ") {
            let code: String = document.text[at + words.len()..].chars().take_while(char::is_ascii_digit).collect();
            assert!(code.is_empty() || known.contains(&code), "{}: there is no close code {code}", document.name);
        }
    }
}

#[test]
fn every_file_that_a_document_names_exists() {
    let sources = sources();
    let beginnings = SOURCES.map(|directory| format!("{directory}/"));
    let mut seen = 0;
    for document in all() {
        for word in code_words(&document.prose()) {
            let is_path = beginnings.iter().any(|beginning| word.starts_with(beginning)) && !word.contains(' ');
            let is_file = [".rs", ".sql", "/"].iter().any(|end| word.ends_with(end)) && !word.starts_with('/');
            if !(is_path || is_file) || word.contains(['{', '*']) {
                continue;
            }
            let below = format!("/{word}");
            let is_near = root().join(&word).exists() || document.directory().join(&word).exists();
            let exists = is_near
                || sources.iter().any(|(name, _)| match word.ends_with('/') {
                    true => name.contains(&below),
                    false => name.ends_with(&below),
                });
            // Built by `npm run build`.
            assert!(exists || word.contains("dist"), "{}: there is no {word}", document.name);
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} files found; is this test reading the documents?");
}

#[test]
fn every_type_and_function_that_a_document_names_exists() {
    let code: String = sources().into_iter().map(|(_, text)| text).collect();
    let is_name = |word: &str| {
        let parts: Vec<&str> = word.split("::").collect();
        let is_identifier =
            |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_camel =
            word.starts_with(|c: char| c.is_ascii_uppercase()) && word.contains(|c: char| c.is_ascii_lowercase());
        parts.iter().all(is_identifier) && is_camel
    };
    let mut seen = 0;
    for document in
        all().into_iter().filter(|document| document.name.starts_with("docs/") || document.name == "ARCHITECTURE.md")
    {
        for word in code_words(&document.prose()).into_iter().filter(|word| is_name(word)) {
            for part in word.split("::") {
                assert!(code.contains(part), "{}: there is no {word}", document.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} names found; is this test reading the documents?");
}
