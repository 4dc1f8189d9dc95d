//! The generated TypeScript declarations, read as far as the documents need them: the members of
//! unions that are tagged by `type`, and of objects.

use std::collections::{BTreeMap, BTreeSet};

/// A member's name, with a `?` when it is optional.
pub type Members = BTreeSet<String>;

pub struct Declarations(BTreeMap<String, String>);

impl Declarations {
    /// Reads `frontend-types/src/generated/protocol.ts`.
    pub fn read() -> Self {
        let path = super::markdown::root().join("frontend-types/src/generated/protocol.ts");
        let text = std::fs::read_to_string(path).expect("generated types");
        let text = without_comments(&text);
        let declared = text.split("export type ").skip(1).filter_map(|declaration| {
            let (name, rest) = declaration.split_once(" = ")?;
            Some((name.to_owned(), rest.trim().trim_end_matches(';').to_owned()))
        });
        Self(declared.collect())
    }

    /// A union such as `ServerFrame`: the members of each kind, but for `type`.
    pub fn union(&self, name: &str) -> BTreeMap<String, Members> {
        let variants = split(self.declaration(name), '|');
        variants.iter().map(|variant| self.variant(variant)).collect()
    }

    /// The texts of a union such as `Mode`.
    pub fn texts(&self, name: &str) -> BTreeSet<String> {
        split(self.declaration(name), '|').iter().map(|text| text.trim_matches('"').to_owned()).collect()
    }

    fn declaration(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no type {name}"))
    }

    fn variant(&self, text: &str) -> (String, Members) {
        let mut kind = None;
        let mut members = Members::new();
        for part in split(text, '&') {
            let body = if part.starts_with('{') { part } else { self.declaration(&part).to_owned() };
            for member in split(body.trim_start_matches('{').trim_end_matches('}'), ',') {
                let (name, value) = member.split_once(':').expect("a member");
                match name.trim() {
                    "\"type\"" => kind = Some(value.trim().trim_matches('"').to_owned()),
                    name => drop(members.insert(name.to_owned())),
                }
            }
        }
        (kind.unwrap_or_else(|| panic!("no type in {text}")), members)
    }
}

fn without_comments(text: &str) -> String {
    let pieces = text.split("/**").enumerate();
    pieces.map(|(n, piece)| if n == 0 { piece } else { piece.split_once("*/").map_or("", |(_, rest)| rest) }).collect()
}

/// Splits where the separator stands in no brackets.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in text.chars() {
        match c {
            '{' | '<' | '(' | '[' => depth += 1,
            '}' | '>' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if c == separator && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("a part").push(c);
        }
    }
    let trimmed = parts.into_iter().map(|part| part.trim().to_owned());
    trimmed.filter(|part| !part.is_empty()).collect()
}
