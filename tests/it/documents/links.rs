//! Links between the documents lead somewhere.

use super::markdown::{Document, all, anchor, links, root};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut seen = 0;
    for document in all() {
        for target in links(&document.prose()) {
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let file = if path.is_empty() { root().join(&document.name) } else { document.directory().join(path) };
            assert!(file.exists(), "{}: {target} leads nowhere", document.name);
            if !heading.is_empty() {
                let name = file.canonicalize().expect("a file");
                let name = name.strip_prefix(root().canonicalize().expect("the root")).expect("of the repository");
                let other = Document::read(&name.to_string_lossy());
                let is_there = other.sections().iter().any(|section| anchor(&section.title) == heading);
                assert!(is_there, "{}: {target} names no heading", document.name);
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} links found; is this test reading the documents?");
}

#[test]
fn every_document_is_in_the_index() {
    let index = links(&Document::read("docs/README.md").text);
    for document in all() {
        let in_docs = document.name.strip_prefix("docs/").map(str::to_owned);
        let target = in_docs.unwrap_or_else(|| format!("../{}", document.name));
        assert!(target == "README.md" || index.contains(&target), "docs/README.md does not list {}", document.name);
    }
}

#[test]
fn no_document_has_the_marks_of_a_merge() {
    for document in all() {
        let mark =
            document.text.lines().find(|line| ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)));
        assert_eq!(mark, None, "{}", document.name);
    }
}
