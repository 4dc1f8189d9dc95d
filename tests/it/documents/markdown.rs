//! The documents as text: their headings, tables, fenced blocks, links and words in code type.

use std::path::{Path, PathBuf};

/// A Markdown file of the repository.
pub struct Document {
    /// Relative to the repository, such as `docs/protocol.md`.
    pub name: String,
    pub text: String,
}

/// A fenced block: what stands after the fence, and what is inside.
#[derive(Debug)]
pub struct Block {
    pub kind: String,
    pub text: String,
    /// The line of the opening fence, counted from 1.
    pub line: usize,
}

/// A heading and everything up to the next one, of whatever level.
pub struct Section {
    pub title: String,
    pub text: String,
    /// The line of the heading, counted from 1.
    pub line: usize,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents that tests hold to the code.
pub fn all() -> Vec<Document> {
    let mut names = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    names.push("frontend-types/README.md".to_owned());
    for entry in std::fs::read_dir(root().join("docs")).expect("docs") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    names.iter().map(|name| Document::read(name)).collect()
}

impl Document {
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text }
    }

    pub fn directory(&self) -> PathBuf {
        root().join(&self.name).parent().expect("a directory").to_path_buf()
    }

    pub fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section { title: String::new(), text: String::new(), line: 1 }];
        let mut is_fenced = false;
        for (index, line) in self.text.lines().enumerate() {
            is_fenced ^= line.starts_with("```");
            match line.strip_prefix('#').filter(|_| !is_fenced) {
                Some(title) => {
                    let title = title.trim_start_matches('#').trim().to_owned();
                    sections.push(Section { title, text: String::new(), line: index + 1 });
                }
                None => {
                    let text = &mut sections.last_mut().expect("a section").text;
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        sections
    }

    pub fn section(&self, title: &str) -> Section {
        let found = self.sections().into_iter().find(|section| section.title == title);
        found.unwrap_or_else(|| panic!("{} has no section \"{title}\"", self.name))
    }

    /// The text without its fenced blocks.
    pub fn prose(&self) -> String {
        let mut is_fenced = false;
        let is_prose = |line: &&str| {
            let is_fence = line.starts_with("```");
            is_fenced ^= is_fence;
            !is_fenced && !is_fence
        };
        self.text.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
    }
}

impl Section {
    pub fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open) = (Vec::new(), None::<Block>);
        for (index, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(kind), None) => {
                    let line = self.line + 1 + index;
                    open = Some(Block { kind: kind.trim().to_owned(), text: String::new(), line });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        blocks
    }

    /// The rows of the section's tables, each as its cells; heads and rules are left out.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let lines: Vec<&str> = self.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_rule = |line: &str| line.starts_with("|-");
            let is_head = lines.get(index + 1).is_some_and(|next| is_rule(next));
            if let Some(cells) = line.strip_prefix('|').filter(|_| !is_rule(line) && !is_head) {
                let cells = cells.strip_suffix('|').unwrap_or(cells);
                rows.push(cells.split('|').map(|cell| cell.trim().to_owned()).collect());
            }
        }
        rows
    }
}

/// The words in code type of a text, in order: `` `like this` ``.
pub fn code_words(text: &str) -> Vec<String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The targets of a text's links: `[…](target)`.
pub fn links(text: &str) -> Vec<String> {
    let targets = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// What a heading is called in a link, as GitHub makes it.
pub fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
