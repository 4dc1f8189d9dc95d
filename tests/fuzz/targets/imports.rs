//! Exported sessions, as they come in: what is accepted is what was exported, follows from its events, and can
//! be stored and read again.

use std::cell::OnceCell;

use bytes::Bytes;
use relive::archive::{ImportError, ImportLimits};
use relive::fuzzing;
use relive_protocol::ArchiveLine;
use relive_session::{Keyframe, Recorded, Session};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::run::{assert_storable, check_counts, stored};
use super::{MIB, Target, kind_of, outcome, pieces};
use crate::mutate::lines;

pub const TARGET: Target = Target { name: "imports", share: 60, memory: 8 * MIB, change: lines::change, check };

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

fn import(pieces: &[&[u8]]) -> Result<(String, Session), ImportError> {
    let limits = ImportLimits { embedding_dimension: 2, ..ImportLimits::default() };
    let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
        runtime.block_on(fuzzing::import(pieces, limits))
    })
}

fn check(input: &[u8]) -> u64 {
    let pieces = pieces(input);
    match (import(&[input]), import(&pieces)) {
        (Ok((sha256, state)), Ok(same)) => {
            assert!((&sha256, &state) == (&same.0, &same.1), "it depends on how the bytes come");
            accepted(input, &sha256, &state);
            outcome((state.revision, state.status.as_str()))
        }
        (Err(error), Err(same)) => {
            assert_eq!(error.to_string(), same.to_string(), "it depends on how the bytes come");
            assert!(matches!(error, ImportError::File { .. }), "{error}");
            super::assert_short(&error.to_string());
            outcome(kind_of(&error.to_string()))
        }
        (one, other) => panic!("it depends on how the bytes come: {one:?}, {other:?}"),
    }
}

fn accepted(input: &[u8], sha256: &str, state: &Session) {
    // The checks, by other means.
    let text = std::str::from_utf8(input).expect("a file that is accepted is a text");
    let (mut opened, mut recorded): (Vec<Vec<u8>>, Vec<Recorded>) = (Vec::new(), Vec::new());
    assert!(text.ends_with("}\n"), "the last line is not whole");
    for line in text.lines() {
        let (open, check) = line.rsplit_once(",\"check\":\"").expect("a check");
        opened.push(format!("{open}}}").into_bytes());
        assert_eq!(check, format!("{}\"}}", &lines::sha256(&opened)[..8]), "an altered line was accepted");
        let line: ArchiveLine = serde_json::from_slice(opened.last().unwrap()).expect("a line");
        if !matches!(line, ArchiveLine::Header(_)) {
            // Members that nobody knows are passed over, and not stored.
            assert_storable(&serde_json::to_string(&line).expect("JSON"));
        }
        match line {
            ArchiveLine::Event(event) => recorded.push(event),
            ArchiveLine::End { counts, sha256 } => {
                let before = &opened[..opened.len() - 1];
                assert_eq!(sha256, lines::sha256(before), "the last line is another file's");
                let of = |kind: &str| before.iter().filter(|line| is_of(line, kind)).count() as u64;
                let counted = (of("event"), of("message"), of("memory"));
                assert_eq!((counts.events, counts.messages, counts.memories), counted, "the counts are wrong");
            }
            _ => {}
        }
    }
    assert_eq!(lines::sha256(&opened), sha256);
    let first = Session::create(&stored(&recorded[0])).expect("a beginning");
    let mut folded = first.clone();
    for event in &recorded[1..] {
        folded.apply(&stored(event)).expect("an event that was accepted applies");
    }
    assert_eq!(&folded, state, "the events lead elsewhere");
    check_counts(state);
    let json = Keyframe::of(state).to_json().expect("a keyframe can be written");
    let again = Keyframe::from_json(&json).expect("a keyframe is read again").restore_stored(&first, state.revision);
    assert_eq!(&again, state, "a keyframe leads to another state");
}

fn is_of(line: &[u8], kind: &str) -> bool {
    serde_json::from_slice::<Value>(line).is_ok_and(|line| line["type"] == kind)
}
