//! The stored history against what was answered and shown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::driver::Told;
use super::viewer::Seen;

fn check_dense(journal: &[Value]) {
    for (place, event) in journal.iter().enumerate() {
        assert_eq!(event["revision"], place as u64 + 1, "a gap or a repetition");
    }
}

/// Every answered command stands in the journal once, at its revision; the others at most once. Returns
/// how many were answered.
pub fn check(told: &Told, journal: &[Value]) -> usize {
    check_dense(journal);
    let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for event in journal.iter().filter(|event| event["event"]["type"] == "contextSet") {
        let number = event["event"]["value"].as_u64().expect("a number");
        found.entry(number).or_default().push(event["revision"].as_u64().expect("a revision"));
    }
    for (number, revision) in &told.answered {
        assert_eq!(found.remove(number), Some(vec![*revision]), "acknowledged command {number} of {}", told.session);
    }
    for number in &told.unknown {
        let times = found.remove(number).map_or(0, |revisions| revisions.len());
        assert!(times <= 1, "command {number} was carried out {times} times");
    }
    assert_eq!(found, BTreeMap::new(), "nobody sent these");
    told.answered.len()
}

/// A viewer's story is the journal (events) or goes forward only (states), and ends with the newest.
pub fn check_viewer(seen: &Seen, journal: &[Value], session: &Value) {
    let newest = journal.len() as u64;
    assert_eq!(seen.revisions.last(), Some(&newest), "{} of {}", seen.mode, seen.session);
    for pair in seen.revisions.windows(2) {
        let follows = if seen.mode == "events" { pair[1] == pair[0] + 1 } else { pair[1] > pair[0] };
        assert!(follows, "{}: {} after {}", seen.mode, pair[1], pair[0]);
    }
    if seen.mode == "events" {
        let stored: Vec<&Value> = journal.iter().map(|event| &event["event"]).collect();
        assert_eq!(seen.events.iter().collect::<Vec<_>>(), stored);
    } else {
        assert_eq!(&seen.state, session);
    }
}

/// A run of the built-in engine has come to its end, each of its nodes as often as the graph says: a
/// round that was cut off is not made twice. Or it was stopped for a reason that is true here: three
/// servers in a row were killed at the same point of it. Says which.
pub fn check_run(session: &Value, journal: &[Value]) -> bool {
    check_dense(journal);
    if session["error"].as_str().is_some_and(|error| error.contains("its server went down 3 times in a row")) {
        return false;
    }
    assert_eq!(session["status"], "completed", "{session}");
    let completed = |id: &str| {
        let is_end = |event: &&Value| {
            let event = &event["event"];
            event["type"] == "nodeStatusChanged" && event["nodeId"] == id && event["status"] == "completed"
        };
        journal.iter().filter(is_end).count()
    };
    assert_eq!((completed("s"), completed("d"), completed("l"), completed("e")), (1, 12, 12, 1));
    true
}
