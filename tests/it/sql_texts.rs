//! Every SQL text in the sources is prepared against the real schema, so that a misspelled column fails
//! without a test that happens to run the statement.
//!
//! The texts are read from the sources' tokens: literals, `concat!`, macros that are made of both, and
//! `format!`. What a `QueryBuilder` puts together has no text of its own; its pieces are listed in
//! [`PIECES`], and the tests that run it are its check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use sqlx::postgres::PgTypeInfo;
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use crate::architecture::sources;
use crate::harness::Database;

/// What a statement begins with.
const VERBS: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];

/// Texts that are no statements by themselves, by how they begin: of the catalog, whose statements are the
/// same for each of its tables, and of what a `QueryBuilder` puts together.
const PIECES: &[&str] = &[
    "DELETE FROM {} WHERE",
    "INSERT INTO {} (id,",
    "SELECT * FROM {} WHERE project_id",
    "SELECT * FROM {} WHERE id",
    "UPDATE {} SET",
    "SELECT GROUPING(node_id,",
    "SELECT asked.*, listed.id",
    "SELECT count(*) FROM (",
    "SELECT id, created_at FROM (SELECT id, created_at, error FROM sessions",
    "SELECT id, created_at FROM (SELECT",
    "SELECT id, created_at FROM sessions WHERE",
    "SELECT id, created_at FROM",
    "SELECT id, group_id, agent_id, session_id, content, metadata, embedding IS NOT NULL AS embedded, created_at, 1 -",
    "SELECT id, session_id, revision, node_id, agent_id,",
    "SELECT named.id",
    "SELECT parent_session_id, count(*) FROM sessions WHERE id IN (SELECT session_id FROM session_labels",
    "WITH asked AS MATERIALIZED (SELECT given",
    "WITH asked AS MATERIALIZED (SELECT websearch_to_tsquery(",
    "WITH RECURSIVE descent",
    "WITH newest AS",
];

/// Statements whose parameters are taken for texts unless their types are said, as bound values do.
const TYPED: &[(&str, &[&str])] =
    &[("INSERT INTO session_lineage (session_id, depth, ancestor_id, revision) SELECT", &["uuid", "uuid", "int8"])];

/// What stands in for the variables of a `format!`; constants are put in by themselves.
const VARIABLES: &[(&str, &str)] = &[
    ("dimension", "8"),
    ("condition", "embedding IS NULL"),
    ("into", "session_messages (session_id"),
    ("logs_into", "session_logs (session_id"),
];

/// SQLSTATE of a parameter whose type does not follow from the text: it comes with the bound value. All
/// names have been looked up by then.
const INDETERMINATE: &str = "42P18";

type Names = BTreeMap<String, String>;

/// What the sources say: their string constants, their macros, and all texts.
#[derive(Default)]
struct Texts {
    constants: Names,
    macros: BTreeMap<String, (Vec<String>, TokenStream)>,
    found: Vec<String>,
}

impl Texts {
    fn walk(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        while !rest.is_empty() {
            rest = self.step(rest);
        }
    }

    /// Takes what stands first, and returns what follows it.
    fn step<'t>(&mut self, tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        use TokenTree::{Group, Ident, Literal, Punct};
        match tokens {
            // Attributes, and with them documentation.
            [Punct(mark), Group(_), rest @ ..] if mark.as_char() == '#' => rest,
            [Ident(word), Punct(_), Ident(name), Group(rules), rest @ ..] if word == "macro_rules" => {
                if let [Group(pattern), Punct(_), Punct(_), Group(body), ..] = &trees(rules.stream())[..] {
                    self.macros.insert(name.to_string(), (variables(pattern.stream()), body.stream()));
                }
                rest
            }
            [Ident(word), Ident(name), Punct(colon), rest @ ..]
                if (word == "const" || word == "static") && colon.as_char() == ':' =>
            {
                let value = after(rest, '=');
                let end = value.len() - after(value, ';').len();
                if let Some(text) = self.text(value[..end].split_last().map_or(&[][..], |(_, value)| value), &[]) {
                    self.constants.insert(name.to_string(), text);
                }
                rest
            }
            [Ident(_), Punct(mark), Group(_), rest @ ..] if mark.as_char() == '!' => {
                match self.text(&tokens[..3], &[]) {
                    Some(text) => self.found.push(text),
                    None => return &tokens[2..],
                }
                rest
            }
            [Group(group), rest @ ..] => {
                self.walk(group.stream());
                rest
            }
            [Literal(literal), rest @ ..] => {
                self.found.extend(unquoted(&literal.to_string()));
                rest
            }
            [_, rest @ ..] => rest,
            [] => tokens,
        }
    }

    /// The text that an expression stands for, if it is one; `bound` are the arguments of a macro.
    fn text(&self, expression: &[TokenTree], bound: &[(String, String)]) -> Option<String> {
        match expression {
            [TokenTree::Literal(literal)] => unquoted(&literal.to_string()),
            [TokenTree::Punct(mark), TokenTree::Ident(name)] if mark.as_char() == '$' => {
                bound.iter().find(|(bound, _)| name == bound).map(|(_, text)| text.clone())
            }
            [TokenTree::Ident(name), TokenTree::Punct(_), TokenTree::Group(group)] => {
                let inner = trees(group.stream());
                let arguments: Vec<&[TokenTree]> =
                    inner.split(|token| is_mark(token, ',')).filter(|argument| !argument.is_empty()).collect();
                let texts = || arguments.iter().map(|argument| self.text(argument, bound)).collect::<Option<Vec<_>>>();
                match name.to_string().as_str() {
                    "concat" => texts().map(|texts| texts.concat()),
                    "format" => Some(self.filled(&self.text(arguments.first()?, bound)?)),
                    name => {
                        let (variables, body) = self.macros.get(name)?;
                        let bound: Vec<_> = variables.iter().cloned().zip(texts()?).collect();
                        self.text(&trees(body.clone()), &bound)
                    }
                }
            }
            _ => None,
        }
    }

    /// A format with what is known put in.
    fn filled(&self, format: &str) -> String {
        let constants = self.constants.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        constants
            .chain(VARIABLES.iter().copied())
            .fold(format.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

fn trees(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == mark)
}

/// What follows the first such mark.
fn after(tokens: &[TokenTree], mark: char) -> &[TokenTree] {
    tokens.iter().position(|token| is_mark(token, mark)).map_or(&[], |at| &tokens[at + 1..])
}

/// The variables of a macro's pattern: `$name:literal`.
fn variables(pattern: TokenStream) -> Vec<String> {
    let named = |pair: &[TokenTree]| is_mark(&pair[0], '$').then(|| pair[1].to_string());
    trees(pattern).windows(2).filter_map(named).collect()
}

/// What a string literal means; `None` for other literals.
fn unquoted(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('r') {
        let raw = raw.trim_matches('#');
        return raw.strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
    }
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    while let Some((before, escaped)) = rest.split_once('\\') {
        text.push_str(before);
        rest = match escaped.strip_prefix('\n') {
            Some(line) => line.trim_start(),
            None => {
                let escape = escaped.chars().next()?;
                text.push(if escape == 'n' { '\n' } else { escape });
                &escaped[escape.len_utf8()..]
            }
        };
    }
    Some(text + rest)
}

/// The SQL texts of the storage module; the architecture test sees to it that there are no others.
fn statements() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage"), &mut files);
    let mut texts = Texts::default();
    // Twice, since constants and macros are used before they stand, and in other files.
    for _ in 0..2 {
        texts.found.clear();
        for file in &files {
            texts.walk(std::fs::read_to_string(file).expect("a source").parse().expect("Rust"));
        }
    }
    let is_sql = |text: &String| {
        let verb = text.split_whitespace().next();
        verb.is_some_and(|verb| VERBS.contains(&verb) && text.trim_end() != verb)
    };
    texts.found.into_iter().filter(is_sql).collect()
}

#[tokio::test]
async fn every_sql_text_can_be_prepared() {
    let storage = Database::create().await.storage();
    let mut connection = storage.pool().acquire().await.expect("a connection");
    let (mut wrong, mut pieces) = (Vec::new(), PIECES.to_vec());
    let statements = statements();
    for text in &statements {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let types = TYPED.iter().find(|(beginning, _)| line.starts_with(beginning)).map_or(&[][..], |(_, types)| types);
        let types: Vec<PgTypeInfo> = types.iter().map(|name| PgTypeInfo::with_name(name)).collect();
        let outcome = (&mut *connection).prepare_with(AssertSqlSafe(text.clone()).into_sql_str(), &types).await;
        let Err(error) = outcome else { continue };
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        if code == INDETERMINATE {
            continue;
        }
        match pieces.iter().position(|piece| line.starts_with(piece)) {
            Some(piece) => drop(pieces.remove(piece)),
            None => wrong.push(format!("{error}:\n{text}")),
        }
    }
    assert!(wrong.is_empty(), "{} texts: {}", wrong.len(), wrong.join("\n\n"));
    assert!(pieces.is_empty(), "these stand no longer anywhere, or are statements: {pieces:?}");
    assert!(statements.len() > 80, "only {} texts were found", statements.len());
}

#[test]
fn texts_are_found_in_all_their_forms() {
    let code = r##"
        macro_rules! both { ($one:literal, $two:literal) => { concat!("a ", $one, " b ", $two) }; }
        macro_rules! rows { () => { "rows" }; }
        const WHOLE: &str = concat!(rows!(), " whole \
            line");
        const MADE: &str = both!("x", "y");
        /// "doc"
        fn code() { call(format!("{WHOLE}, {other}"), r#"raw " text"#, "q\"n\n"); vec!["inner"] }
    "##;
    let mut texts = Texts::default();
    texts.walk(code.parse().expect("Rust"));
    let expected = ["rows whole line", "a x b y", "rows whole line, {other}", "raw \" text", "q\"n\n", "inner"];
    assert_eq!(texts.found, expected);
}
