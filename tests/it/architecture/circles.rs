//! No circle between files: what a file uses does not use it in turn.
//!
//! A module's root and its parts count as one: a part may use its root, which puts the parts together. Paths
//! are read as text, not by the compiler: what is exported again is followed to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{members, sources};

/// A module's path within its crate; empty for the crate's root.
type Module = Vec<String>;

struct Source {
    code: String,
    /// What `pub use` gives out under which name, as a path from the crate's root.
    exports: BTreeMap<String, Module>,
}

/// The files of a crate by their modules. Tests beside the code are left out.
fn read(root: &Path) -> BTreeMap<Module, Source> {
    let mut files = Vec::new();
    sources(root, &mut files);
    let mut modules = BTreeMap::new();
    for path in files {
        let name = path.strip_prefix(root).expect("below the root").with_extension("");
        let mut module: Module = name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        if module.iter().any(|part| part == "tests") || name.ends_with("main") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a text");
        let text = text.split("#[cfg(test)]\nmod tests {").next().expect("a beginning");
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        modules.insert(module, Source { code: lines.join("\n"), exports: BTreeMap::new() });
    }
    let names: BTreeSet<Module> = modules.keys().cloned().collect();
    for (module, source) in &mut modules {
        let given = statements(&source.code).filter(|(is_export, _)| *is_export);
        for path in given.flat_map(|(_, tree)| expand(&tree)) {
            let (path, alias) = path.split_once(" as ").map_or((&*path, None), |(path, alias)| (path, Some(alias)));
            let parts = split(path);
            let name = alias.map_or_else(|| parts.last().expect("a name").clone(), str::to_owned);
            if let Some(path) = absolute(module, &parts, &names) {
                source.exports.insert(name, path);
            }
        }
    }
    modules
}

fn split(path: &str) -> Vec<String> {
    path.split("::").map(|part| part.trim().to_owned()).collect()
}

/// The trees of all `use` statements, and whether each is given out again.
fn statements(code: &str) -> impl Iterator<Item = (bool, String)> {
    let starts = code.match_indices("use ").filter(|(at, _)| !code[..*at].ends_with(is_word));
    starts.filter_map(|(at, word)| {
        let tree = code[at + word.len()..].split(';').next()?;
        let before = code[..at].trim_end();
        let line = before.rsplit('\n').next().unwrap_or_default().trim();
        Some((line.starts_with("pub") && !code[..at].ends_with('\n'), tree.to_owned()))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Each path of a tree such as `a::{b, c::{D, E}}`.
fn expand(tree: &str) -> Vec<String> {
    match tree.split_once('{') {
        None => vec![tree.split_whitespace().collect::<Vec<_>>().join(" ")],
        Some((before, group)) => {
            let inner = members(group).into_iter().flat_map(|member| expand(&member));
            inner.map(|path| format!("{}{path}", before.trim())).collect()
        }
    }
}

/// A path from the crate's root; `None` for what belongs to other crates.
fn absolute(module: &Module, path: &[String], known: &BTreeSet<Module>) -> Option<Module> {
    let mut base = module.clone();
    let mut path = path;
    match path.first()?.as_str() {
        "crate" => return Some(path[1..].to_vec()),
        "self" => path = &path[1..],
        "super" => {
            while path.first().is_some_and(|part| part == "super") {
                base.pop()?;
                path = &path[1..];
            }
        }
        first => {
            base.push(first.to_owned());
            if !known.contains(&base) {
                return None;
            }
            base.pop();
        }
    }
    base.extend_from_slice(path);
    Some(base)
}

/// The file that a path leads to.
fn resolve(path: &[String], modules: &BTreeMap<Module, Source>, depth: usize) -> Option<Module> {
    let end = (0..=path.len()).rev().find(|end| modules.contains_key(&path[..*end]))?;
    let (module, rest) = path.split_at(end);
    let export = rest.first().and_then(|name| modules[module].exports.get(name));
    match export {
        Some(export) if depth < 8 => {
            let further: Vec<String> = export.iter().chain(&rest[1..]).cloned().collect();
            resolve(&further, modules, depth + 1)
        }
        _ => Some(module.to_vec()),
    }
}

/// The paths that stand in code outside of `use` statements.
fn inline(code: &str) -> Vec<String> {
    let mut rest = code.to_owned();
    statements(code).for_each(|(_, tree)| rest = rest.replace(&format!("use {tree};"), ""));
    let words = rest.split(|c: char| !is_word(c) && c != ':');
    words.filter(|word| word.contains("::")).map(|word| word.trim_matches(':').to_owned()).collect()
}

fn arrows(modules: &BTreeMap<Module, Source>) -> BTreeMap<Module, BTreeSet<Module>> {
    let known: BTreeSet<Module> = modules.keys().cloned().collect();
    let of = |(module, source): (&Module, &Source)| {
        let used = statements(&source.code).filter(|(is_export, _)| !is_export);
        let used = used.flat_map(|(_, tree)| expand(&tree)).chain(inline(&source.code));
        let targets = used.filter_map(|path| {
            let path = split(path.split(" as ").next().unwrap_or_default());
            let target = resolve(&absolute(module, &path, &known)?, modules, 0)?;
            (!module.starts_with(&target)).then_some(target)
        });
        (module.clone(), targets.collect())
    };
    modules.iter().map(of).collect()
}

/// The modules that can be reached from one.
fn reach(from: &Module, arrows: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in &arrows[module] {
            if found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}

fn circles(modules: &BTreeMap<Module, Source>) -> Vec<String> {
    let arrows = arrows(modules);
    let reached: BTreeMap<&Module, BTreeSet<Module>> =
        arrows.keys().map(|module| (module, reach(module, &arrows))).collect();
    let in_circle = |module: &&Module| reached[*module].contains(*module);
    let circle = |module: &Module| {
        let others = reached[module].iter().filter(|other| reached[*other].contains(module));
        others.map(|module| module.join("/")).collect::<Vec<_>>().join(", ")
    };
    arrows.keys().filter(in_circle).map(circle).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = ["src", "crates/relive-session/src", "crates/relive-protocol/src", "crates/relive-client/src"];
    for directory in crates {
        let modules = read(&root.join(directory));
        let count: usize = arrows(&modules).values().map(BTreeSet::len).sum();
        assert!(count >= modules.len() / 2, "{directory}: only {count} arrows found; is this test reading them?");
        assert_eq!(circles(&modules), Vec::<String>::new(), "{directory}");
    }
}

#[test]
fn a_circle_is_found_through_what_is_given_out_again() {
    let source = |code: &str| Source { code: code.to_owned(), exports: BTreeMap::new() };
    let name = |path: &str| -> Module { path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect() };
    let mut modules = BTreeMap::from([
        (name(""), source("mod a;\nmod b;\npub use b::Thing;")),
        (name("a"), source("use crate::{c, Thing};")),
        (name("b"), source("fn f() { super::a::g() }")),
        (name("c"), source("use super::b::Thing as Other;")),
    ]);
    let export = BTreeMap::from([("Thing".to_owned(), name("b/Thing"))]);
    modules.get_mut(&name("")).expect("the root").exports = export;
    assert_eq!(circles(&modules), ["a, b, c"]);
    modules.get_mut(&name("b")).expect("b").code.clear();
    assert_eq!(circles(&modules), Vec::<String>::new());
}
