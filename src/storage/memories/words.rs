//! Searching by words: PostgreSQL's full text, and plain substrings for what it does not see as words.
//!
//! A memory scores higher the more of the words it has; any of them suffices, so that a whole question
//! finds its answer. Chinese and Japanese have no spaces between words, so every two neighbouring characters
//! are searched as a phrase (`relive_words` in the schema splits the stored side). Emoji, and parts of words,
//! are in no full-text index; they are searched as substrings if the words did not find enough.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::{COLUMNS, MemoryScope, SearchLimits, read_memory};
use crate::storage::{Storage, StorageError};
use relive_session::Memory;

/// Words and scopes differ in size by orders of magnitude, so a plan made for one must not be used for
/// another. A search that takes very long is cancelled, rather than keeping a connection busy for a client
/// that has disconnected.
const BEGIN: &str = "BEGIN; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL statement_timeout = '10s'";

/// Memories that are ranked at most. A word that occurs in more of them is not selective.
const RANKED: u32 = 20_000;
/// The newest memories of the scope, at most this many, are searched for the substring.
const LOOKED_THROUGH: u32 = 10_000;
/// Words and pairs of characters of a query that are used at most.
const TERMS: usize = 64;

impl Storage {
    /// The memories of a scope that have the words of `text`, best first. A score is the share of
    /// the words that a memory has, lower for longer memories; 1 has all of them and nothing else.
    ///
    /// # Errors
    ///
    /// If the database is away, or too busy to search.
    pub async fn memories_with_words(
        &self,
        scope: &MemoryScope,
        text: &str,
        nearness: SearchLimits,
    ) -> Result<Vec<Memory>, StorageError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let search = async |connection: &mut PgConnection| {
            let mut found = by_words(connection, scope, text, nearness.limit).await?;
            if found.len() < nearness.limit as usize {
                let known: Vec<Uuid> = found.iter().map(|memory| memory.id).collect();
                found.extend(by_substring(connection, scope, text.trim(), nearness.limit, &known).await?);
            }
            Ok::<_, StorageError>(found)
        };
        let mut found = transaction.run(search).await?;
        transaction.commit().await?;
        found.sort_by(|a, b| b.score.unwrap_or_default().total_cmp(&a.score.unwrap_or_default()));
        found.truncate(nearness.limit as usize);
        found.retain(|memory| memory.score >= nearness.min_score);
        Ok(found)
    }
}

async fn by_words(
    connection: &mut PgConnection,
    scope: &MemoryScope,
    text: &str,
    limit: u32,
) -> Result<Vec<Memory>, StorageError> {
    let terms = terms(text);
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let any = terms.iter().map(|term| format!("\"{term}\"")).collect::<Vec<_>>().join(" or ");
    let mut query = QueryBuilder::new("WITH asked AS MATERIALIZED (SELECT websearch_to_tsquery('simple', ");
    query.push_bind(any).push(") AS query, relive_words(").push_bind(terms.join(" ")).push(") AS words)");
    query.push(
        ", candidates AS MATERIALIZED (
            SELECT id, words FROM memories WHERE words @@ (SELECT query FROM asked)",
    );
    scope.push_to(&mut query);
    // Relative to the rank of a text of exactly these words; 1: longer texts rank lower.
    query.push(" LIMIT ").push_bind(i64::from(RANKED)).push(
        "), best AS MATERIALIZED (
            SELECT id, least(1, ts_rank(candidates.words, query, 1) / nullif(ts_rank(asked.words, query, 1), 0))::float8
                AS score FROM candidates, asked ORDER BY score DESC NULLS LAST, id DESC LIMIT ",
    );
    query.push_bind(i64::from(limit));
    query.push(format!(") SELECT {COLUMNS}, coalesce(score, 0) AS score FROM best JOIN memories USING (id)"));
    read(query.build().fetch_all(connection).await?)
}

async fn by_substring(
    connection: &mut PgConnection,
    scope: &MemoryScope,
    text: &str,
    limit: u32,
    known: &[Uuid],
) -> Result<Vec<Memory>, StorageError> {
    // Identifiers grow with time, and the primary key is an index that is there anyway.
    let mut query = QueryBuilder::new(
        "WITH newest AS MATERIALIZED (SELECT id, left(content, 100000) AS text FROM memories WHERE TRUE",
    );
    scope.push_to(&mut query);
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(LOOKED_THROUGH));
    query.push(
        "), best AS MATERIALIZED (
            SELECT id, least(1, ",
    );
    query.push_bind(i32::try_from(text.chars().count()).unwrap_or(i32::MAX));
    query.push("::float8 / char_length(text)) AS score FROM newest WHERE text ILIKE ").push_bind(containing(text));
    query.push(" AND id <> ALL (").push_bind(known.to_vec()).push(") ORDER BY score DESC, id DESC LIMIT ");
    query.push_bind(i64::from(limit));
    query.push(format!(") SELECT {COLUMNS}, score FROM best JOIN memories USING (id)"));
    read(query.build().fetch_all(connection).await?)
}

fn read(rows: Vec<PgRow>) -> Result<Vec<Memory>, StorageError> {
    let read = |row: &PgRow| Ok(Memory { score: Some(row.try_get("score")?), ..read_memory(row)? });
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

/// A pattern for `LIKE` that matches any text with `part` in it.
pub(in crate::storage) fn containing(part: &str) -> String {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// The query for the full-text index: words as they are, and for texts without spaces every two
/// neighbouring characters.
fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for piece in text.split(|c: char| c.is_whitespace() || c == '"' || c == '\\') {
        let characters: Vec<char> = piece.chars().collect();
        for run in characters.chunk_by(|a, b| is_unspaced(*a) == is_unspaced(*b)) {
            match run {
                [first, _, ..] if is_unspaced(*first) => {
                    terms.extend(run.windows(2).map(|pair| format!("{} {}", pair[0], pair[1])));
                }
                _ => terms.push(run.iter().collect()),
            }
        }
    }
    // A term of punctuation only would make its part of the query empty.
    terms.retain(|term| term.chars().any(char::is_alphanumeric));
    terms.truncate(TERMS);
    terms
}

/// Whether a character is a word of its own in `relive_words`: the same ranges.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_unspaced_scripts_become_pairs() {
        assert_eq!(terms("What's \"new\" -today or"), ["What's", "new", "-today", "or"]);
        assert_eq!(terms("用户喜欢 Rust语言 茶"), ["用 户", "户 喜", "喜 欢", "Rust", "语 言", "茶"]);
        assert_eq!(terms("🦀 … --- \" \\"), Vec::<String>::new());
        assert_eq!(terms(&"word ".repeat(1_000)).len(), TERMS);
    }

    #[test]
    fn a_pattern_means_its_characters_and_nothing_else() {
        assert_eq!(containing(r"100%_\"), r"%100\%\_\\%");
    }
}
