//! Changes of exported sessions: of lines, of the JSON in them, with their checks made anew or not.

use relive::fuzzing::signed;
use serde_json::Value;

use super::{bytes, json};
use crate::random::Random;

/// Changes a file; mostly so that its checks are right again, as whoever forges one would.
pub fn change(file: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    if random.one_in(5) {
        let mut file = file.to_vec();
        bytes::change(&mut file, other, random);
        return file;
    }
    let (mut lines, others) = (objects(file), objects(other));
    for _ in 0..=random.length(3) {
        let at = random.below(lines.len());
        match random.below(8) {
            0 if !lines.is_empty() => drop(lines.remove(at)),
            1 if !lines.is_empty() => lines.insert(at, lines[at].clone()),
            2 if !lines.is_empty() => {
                let with = random.below(lines.len());
                lines.swap(at, with);
            }
            3 if !others.is_empty() => lines.insert(at, others[random.below(others.len())].clone()),
            _ if !lines.is_empty() => {
                let from = if others.is_empty() { Value::Null } else { others[random.below(others.len())].clone() };
                json::change(&mut lines[at], &from, random);
            }
            _ => lines.push(json::odd(random)),
        }
    }
    sign(&lines, random.one_in(2))
}

/// The file's objects without their checks.
fn objects(file: &[u8]) -> Vec<Value> {
    let lines = file.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    lines
        .map(|mut line| {
            if let Value::Object(members) = &mut line {
                members.remove("check");
            }
            line
        })
        .collect()
}

/// Writes the objects as a file; with `mends`, the last line says what the lines before it are.
pub fn sign(lines: &[Value], mends: bool) -> Vec<u8> {
    let mut lines = lines.to_vec();
    if mends && let Some((last, before)) = lines.split_last_mut() {
        let of = |kind: &str| before.iter().filter(|line| line["type"] == kind).count();
        let texts: Vec<Vec<u8>> = before.iter().map(json::write).collect();
        if let Value::Object(last) = last {
            let counts =
                serde_json::json!({"events": of("event"), "messages": of("message"), "memories": of("memory")});
            last.insert("type".to_owned(), "end".into());
            last.insert("counts".to_owned(), counts);
            last.insert("sha256".to_owned(), sha256(&texts).into());
        }
    }
    let texts: Vec<Vec<u8>> = lines.iter().map(json::write).collect();
    signed(texts.iter().map(Vec::as_slice))
}

/// Of lines without their checks, as the format has it.
pub fn sha256(lines: &[Vec<u8>]) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
