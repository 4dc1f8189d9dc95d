//! Every page for those who watch, report, embed and operate is run by a test.

use std::collections::BTreeSet;

use super::markdown::{Document, links, root};
use super::report::report;
use crate::harness::TestServer;

/// The pages, and what runs or checks what they say. That file names the page.
const RUN_BY: [(&str, &str); 26] = [
    ("docs/access.md", "tests/it/access/matrix.rs"),
    ("docs/alerts.md", "tests/it/documents/readme.rs"),
    ("docs/archive.md", "tests/it/documents/readme.rs"),
    ("docs/backup.md", "tests/it/backup.rs"),
    ("docs/embed.md", "sdk/react/test/docs.test.ts"),
    ("docs/event-streams.md", "tests/it/documents/readme.rs"),
    ("docs/limits.md", "tests/it/documents/limits.rs"),
    ("docs/mcp.md", "tests/it/mcp.rs"),
    ("docs/nodes.md", "tests/it/documents/nodes.rs"),
    ("docs/opentelemetry.md", "scripts/exporters.sh"),
    ("docs/operating.md", "tests/it/documents/settings.rs"),
    ("docs/protocol.md", "tests/it/documents/protocol.rs"),
    ("docs/report-http.md", "tests/it/documents/readme.rs"),
    ("docs/report-langgraph.md", "sdk/python/tests/test_documents.py"),
    ("docs/report-python.md", "sdk/python/tests/test_documents.py"),
    ("docs/report-rust.md", "tests/it/documents/run_by.rs"),
    ("docs/report-typescript.md", "scripts/runtimes.sh"),
    ("docs/retention.md", "tests/it/documents/readme.rs"),
    ("docs/run-graphs.md", "tests/it/documents/readme.rs"),
    ("docs/schedules.md", "tests/it/documents/readme.rs"),
    ("docs/statistics.md", "tests/it/documents/readme.rs"),
    ("docs/traces.md", "tests/it/documents/readme.rs"),
    ("docs/watch-react.md", "sdk/react/test/docs.test.ts"),
    ("docs/watch.md", "tests/it/documents/readme.rs"),
    ("docs/webhooks.md", "tests/it/webhooks/signatures.rs"),
    ("README.md", "tests/it/documents/readme.rs"),
];

/// Pages that no test runs, and why.
const NOT_RUN: [(&str, &str); 5] = [
    ("docs/access-clients.md", "parts of programs of one's own; the tests of each client do the same"),
    ("docs/access-control.md", "commands for a server with keys; tests/it/access and tests/it/keys do the same"),
    ("docs/deploy.md", "changes a whole machine, as root"),
    ("docs/performance.md", "figures of `make bench`"),
    ("docs/scale.md", "arithmetic; tests/it/notices/poolers.rs tests what it says of PgBouncer"),
];

#[test]
fn every_page_for_users_is_run_by_a_test() {
    let index = Document::read("docs/README.md");
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for section in ["Watch", "Report", "Embed", "Operate"] {
        let listed = links(&index.section(section).text);
        pages.extend(listed.iter().filter(|link| !link.contains('/')).map(|link| format!("docs/{link}")));
    }
    let run = RUN_BY.iter().map(|(page, _)| (*page).to_owned());
    let known: BTreeSet<String> = run.chain(NOT_RUN.iter().map(|(page, _)| (*page).to_owned())).collect();
    assert_eq!(pages, known, "the pages of docs/README.md, and those that RUN_BY and NOT_RUN have");
    for (page, test) in RUN_BY {
        let text = std::fs::read_to_string(root().join(test)).unwrap_or_else(|error| panic!("{test}: {error}"));
        let name = page.rsplit('/').next().expect("a name");
        assert!(text.contains(name), "{test} does not name {page}");
    }
}

/// The code of a page: the path in the comment before it, and the block.
fn quoted(page: &Document) -> Vec<(String, String)> {
    let mut quoted = Vec::new();
    for (at, _) in page.text.match_indices("<!-- ") {
        let (path, rest) = page.text[at + 5..].split_once(" -->").expect("the end of a comment");
        let (_, block) = rest.split_once("\n```").unwrap_or_else(|| panic!("{}: no block after {path}", page.name));
        let (_, code) = block.split_once('\n').expect("a line");
        let (code, _) = code.split_once("```").expect("the end of a block");
        // The pages of the Python package name its examples without their folder.
        let path = if path.contains('/') { path.to_owned() } else { format!("sdk/python/examples/{path}") };
        quoted.push((path, code.to_owned()));
    }
    quoted
}

#[test]
fn the_code_of_the_pages_is_that_of_files_that_run() {
    let mut seen = 0;
    for (page, _) in RUN_BY {
        for (path, code) in quoted(&Document::read(page)) {
            let file = std::fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(code, file, "{page} shows {path}");
            seen += 1;
        }
    }
    assert!(seen > 25, "only {seen} blocks found; is this test reading the pages?");
}

/// The code of docs/report-rust.md.
#[tokio::test]
async fn the_rust_example_reports_a_run() {
    let server = TestServer::start().await;
    report(&server.url("")).await.expect("reported");
    let (_, listed) = server.get("/api/v1/sessions?name=Nightly%20ETL").await;
    assert_eq!(listed["sessions"][0]["status"], "completed", "{listed}");
}
