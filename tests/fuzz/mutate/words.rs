//! Changes of texts that are made of words: words left out, doubled, put in from a dictionary.

use crate::random::Random;

/// Changes a few words. Stays a text if it was one.
pub fn change(text: &str, other: &str, dictionary: &[&str], random: &mut Random) -> String {
    let (mut words, others) = (split(text), split(other));
    for _ in 0..=random.length(6) {
        let at = random.below(words.len() + 1);
        match random.below(6) {
            0 if at < words.len() => drop(words.remove(at)),
            1 if at < words.len() => words[at] = random.pick(dictionary),
            2 if at < words.len() => {
                let end = (at + 1 + random.length(12)).min(words.len());
                let times = if random.one_in(100) { 2_000 } else { 8 };
                let some = words[at..end].repeat(1 + random.length(times));
                if words.len() + some.len() < 20_000 {
                    words.splice(at..at, some);
                }
            }
            3 if !others.is_empty() => {
                let from = random.below(others.len());
                let to = (from + random.length(16)).min(others.len());
                words.splice(at..at, others[from..to].iter().copied());
            }
            4 if at < words.len() => {
                let with = random.below(words.len());
                words.swap(at, with);
            }
            _ => words.insert(at, random.pick(dictionary)),
        }
    }
    words.concat()
}

/// Letters and digits that belong together, blanks, and single other characters.
fn split(text: &str) -> Vec<&str> {
    let kind = |c: char| {
        if c.is_alphanumeric() || c == '_' {
            1
        } else if c.is_whitespace() {
            2
        } else {
            0
        }
    };
    let (mut words, mut from) = (Vec::new(), 0);
    let mut before = None;
    for (at, c) in text.char_indices() {
        if before.is_some_and(|before| before != kind(c) || before == 0) {
            words.push(&text[from..at]);
            from = at;
        }
        before = Some(kind(c));
    }
    words.push(&text[from..]);
    words
}
