//! What is fuzzed: how its inputs are changed, and what must hold of each.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::random::Random;

mod answers;
mod bodies;
mod commands;
mod frames;
mod graphs;
mod imports;
mod parsers;
mod run;
mod sockets;
mod templates;

pub struct Target {
    /// Also of its folder in the corpus.
    pub name: &'static str,
    /// Of a thousand cases.
    pub share: u64,
    /// Bytes that one input may take, beside 64 for each of its own.
    pub memory: usize,
    /// A new input, made of two.
    pub change: fn(&[u8], &[u8], &mut Random) -> Vec<u8>,
    /// Panics when something is wrong; else returns what stands for what came of it.
    pub check: fn(&[u8]) -> u64,
}

pub const ALL: [Target; 9] = [
    frames::TARGET,
    sockets::TARGET,
    bodies::TARGET,
    commands::TARGET,
    graphs::TARGET,
    imports::TARGET,
    answers::TARGET,
    templates::TARGET,
    parsers::TARGET,
];

const MIB: usize = 1024 * 1024;

/// A number for what came of an input.
fn outcome(of: impl Hash) -> u64 {
    let mut hash = DefaultHasher::new();
    of.hash(&mut hash);
    hash.finish()
}

/// An error's words without the numbers and the quoted texts in it, so that the same errors count as one.
fn kind_of(error: &str) -> String {
    let mut in_quotes = false;
    let letters = error.chars().filter(|c| {
        if matches!(c, '`' | '"' | '\'') {
            in_quotes = !in_quotes;
        }
        !in_quotes && !c.is_ascii_digit()
    });
    letters.take(100).collect()
}

/// Takes the first line off.
fn first_line(input: &[u8]) -> (&str, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let line = std::str::from_utf8(&input[..end]).unwrap_or_default();
    (line, input.get(end + 1..).unwrap_or_default())
}

/// The input in pieces, whose sizes it decides about itself.
fn pieces(input: &[u8]) -> Vec<&[u8]> {
    let mut random = Random::of(&[outcome(input)]);
    let (mut pieces, mut rest) = (Vec::new(), input);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((1 + random.length(300)).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Error texts are answered, logged and stored; none may be as long as what it is about.
fn assert_short(error: &str) {
    assert!(error.len() <= 4_096, "an error of {} bytes: {}", error.len(), error.chars().take(200).collect::<String>());
}
