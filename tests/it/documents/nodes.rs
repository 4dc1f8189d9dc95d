//! `docs/nodes.md`: the types of nodes, and the names of their properties.

use std::collections::{BTreeMap, BTreeSet};

use super::markdown::{Document, Section, code_words, root};

/// Only `relive run` has it; `relive run --help` describes it.
const OF_RUN: &str = "command";

/// The texts in quotation marks of a piece of code.
fn quoted(code: &str) -> Vec<String> {
    code.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The lists of names that the engine checks properties against.
struct Known {
    lists: BTreeMap<String, Vec<String>>,
    kinds: BTreeMap<String, Vec<String>>,
}

impl Known {
    fn read() -> Self {
        let text =
            std::fs::read_to_string(root().join("src/engine/property_names.rs")).expect("the names of properties");
        let lists = text.split("const ").skip(1).filter_map(|rest| {
            let (name, rest) = rest.split_once(": &[&str] =")?;
            Some((name.to_owned(), quoted(rest.split(';').next()?)))
        });
        let lists: BTreeMap<String, Vec<String>> = lists.collect();
        let mut kinds = BTreeMap::new();
        for (left, right) in text.lines().filter_map(|line| line.split_once(" => &[&[")) {
            for kind in quoted(left).into_iter().filter(|kind| kind != OF_RUN) {
                let model = if right.contains("MODEL") { lists["MODEL"].clone() } else { Vec::new() };
                kinds.insert(kind, quoted(right).into_iter().chain(model).collect());
            }
        }
        assert!(kinds.len() > 12 && lists.len() == 4, "is this test reading the lists?");
        Self { lists, kinds }
    }
}

/// Properties can be written in both ways.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| name + &part[..1].to_uppercase() + &part[1..])
}

fn names(section: &Section) -> BTreeSet<String> {
    // Also those with a value, such as `mode: "trim"`.
    code_words(&section.text).iter().map(|word| camel_case(word.split(':').next().unwrap_or(word))).collect()
}

/// The first cells of a section's tables.
fn rows(section: &Section) -> BTreeSet<String> {
    section.rows().iter().flat_map(|row| code_words(&row[0])).map(|word| camel_case(&word)).collect()
}

#[test]
fn every_type_is_described_with_its_properties_and_no_others() {
    let (document, known) = (Document::read("docs/nodes.md"), Known::read());
    let sections = document.sections();
    let types: Vec<&Section> = sections.iter().skip_while(|section| section.title != "Types").skip(1).collect();
    let mut described = BTreeSet::new();
    let as_llm = names(types.iter().find(|section| section.title == "`llm`").expect("llm"));
    for section in types {
        let kinds = code_words(&section.title);
        let properties: BTreeSet<String> = kinds.iter().flat_map(|kind| known.kinds[kind].clone()).collect();
        let (named, in_tables) = (names(section), rows(section));
        let missing: Vec<&String> =
            properties.iter().filter(|name| !named.contains(*name) && !as_llm.contains(*name)).collect();
        assert!(missing.is_empty(), "{kinds:?}: not described: {missing:?}");
        let unknown: Vec<&String> = in_tables.difference(&properties).collect();
        assert!(unknown.is_empty(), "{kinds:?} has no {unknown:?}");
        described.extend(kinds);
    }
    assert_eq!(described, known.kinds.keys().cloned().collect());
}

#[test]
fn the_properties_of_every_node_and_of_a_graph_are_all_there() {
    let (document, known) = (Document::read("docs/nodes.md"), Known::read());
    let set = |list: &str| -> BTreeSet<String> { known.lists[list].iter().cloned().collect() };
    assert_eq!(rows(&document.section("Properties of every node")), set("EVERY"));
    assert_eq!(rows(&document.section("The graph's own properties")), set("GRAPH"));
    let intro = names(&document.sections()[1]);
    assert!(set("NOTES").is_subset(&intro), "{intro:?}");
}
