//! Names, tags and metadata.

use relive_session::{Created, Event, Recorded, Refusal, Session, SessionId, check_created};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Run, time};

fn created(labels: Value) -> Created {
    serde_json::from_value(labels).expect("a first event")
}

fn labels(run: &Run) -> Value {
    let snapshot = run.snapshot();
    json!([snapshot["name"], snapshot["tags"], snapshot["metadata"]])
}

#[test]
fn each_given_member_replaces_the_held_one_whole() {
    let mut run = Run::new(None);
    let steps = [
        (json!({"name": "n"}), json!(["n", null, null])),
        (json!({"tags": ["a", "b"]}), json!(["n", ["a", "b"], null])),
        (json!({"metadata": {"k": 1, "l": "x", "m": true}}), json!(["n", ["a", "b"], {"k": 1, "l": "x", "m": true}])),
        (json!({"tags": ["c"], "metadata": {"l": "y"}}), json!(["n", ["c"], {"l": "y"}])),
        (json!({"name": ""}), json!([null, ["c"], {"l": "y"}])),
        (json!({"tags": [], "metadata": {}}), json!([null, null, null])),
    ];
    for (mut fields, expected) in steps {
        fields["type"] = json!("setLabels");
        assert_eq!(run.must(fields.clone()).len(), 1, "{fields}");
        assert_eq!(labels(&run), expected, "{fields}");
        let summary = serde_json::to_value(run.session.summary()).unwrap();
        assert_eq!(json!([summary["name"], summary["tags"], summary["metadata"]]), expected);
        assert_eq!(run.must(fields.clone()), [], "said twice: {fields}");
    }
    assert_eq!(run.must(json!({"type": "setLabels"})), []);
}

#[test]
fn a_session_begins_with_those_it_was_given_and_a_fork_with_its_parents() {
    let given = created(json!({"driver": "external", "name": "n", "tags": ["a"], "metadata": {"k": 0.5}}));
    let event = Event::Created(Box::new(given));
    let first = Recorded { session_id: SessionId(Uuid::from_u128(7)), revision: 1, at: time(1), by: None, event };
    let mut run = Run { session: Session::create(&first).unwrap(), history: vec![first] };
    assert_eq!(labels(&run), json!(["n", ["a"], {"k": 0.5}]));
    run.must(json!({"type": "setLabels", "tags": ["b"]}));
    let event = Event::Created(Box::new(Created::fork_of(&run.session)));
    let fork = Recorded { session_id: SessionId(Uuid::from_u128(8)), revision: 1, at: time(9), by: None, event };
    assert_eq!(Session::create(&fork).unwrap().labels, run.session.labels);
}

#[test]
fn what_is_beyond_the_limits_is_refused_wherever_it_comes_from() {
    let long = |n: usize| "ü".repeat(n);
    let tags = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    let entries = |n: usize| (0..n).map(|n| (n.to_string(), json!(n))).collect::<serde_json::Map<_, _>>();
    let accepted = [
        json!({"name": long(200)}),
        json!({"tags": tags(20)}),
        json!({"tags": [long(64), "検索", "a, b", " "]}),
        json!({"metadata": entries(50)}),
        json!({"metadata": {"k": "x".repeat(16 * 1024 - 8)}}),
    ];
    let invalid = [
        json!({"name": "a\u{0}"}),
        json!({"tags": [""]}),
        json!({"tags": ["a", "a"]}),
        json!({"tags": ["a\nb"]}),
        json!({"tags": ["a\u{85}"]}),
        json!({"metadata": {"": 1}}),
        json!({"metadata": {"k": null}}),
        json!({"metadata": {"k": [1]}}),
        json!({"metadata": {"k": {"l": 1}}}),
        json!({"metadata": {"k": "a\u{0}"}}),
        json!({"metadata": {"k\u{0}": 1}}),
    ];
    let too_large = [
        json!({"name": long(201)}),
        json!({"tags": tags(21)}),
        json!({"tags": [long(65)]}),
        json!({"metadata": entries(51)}),
        json!({"metadata": {"k": "x".repeat(16 * 1024 - 7)}}),
        json!({"metadata": {"k\n".repeat(4_000): "\n".repeat(2_200)}}),
    ];
    let outcomes = |fields: &Value| {
        let mut command = fields.clone();
        command["type"] = json!("setLabels");
        let mut first = fields.clone();
        first["driver"] = json!("external");
        (Run::new(None).try_json(command).map(drop), created(first).labels().check())
    };
    for fields in &accepted {
        assert_eq!(outcomes(fields), (Ok(()), Ok(())));
    }
    for fields in &invalid {
        assert!(matches!(outcomes(fields), (Err(Refusal::Invalid { .. }), Err(Refusal::Invalid { .. }))), "{fields}");
    }
    for fields in &too_large {
        assert!(matches!(outcomes(fields), (Err(Refusal::TooLarge { .. }), Err(Refusal::TooLarge { .. }))), "{fields}");
    }
}

#[test]
fn a_history_with_labels_is_verified() {
    let mut run = Run::new(None);
    run.must(json!({"type": "cancel"}));
    run.must(json!({"type": "setLabels", "tags": ["a"]}));
    let mut state = Session::create(&run.history[0]).unwrap();
    for recorded in &run.history[1..] {
        state.apply_verified(recorded).expect("what happened");
    }
    assert_eq!(state, run.session);
    let again = Recorded { revision: state.revision + 1, ..run.history[2].clone() };
    assert!(state.apply_verified(&again).is_err(), "it says nothing new");
}

#[test]
fn what_earlier_versions_took_for_16_kib_is_still_read() {
    // They did not count the quotes, colons and commas.
    let metadata = json!({"k": "x".repeat(16 * 1024 - 3)});
    let first = created(json!({"driver": "external", "metadata": metadata}));
    assert!(matches!(first.labels().check(), Err(Refusal::TooLarge { .. })));
    assert_eq!(check_created(&first), Ok(()));
    let mut run = Run::new(None);
    let set = serde_json::from_value(json!({"type": "labelsSet", "metadata": metadata})).expect("an event");
    let at = run.session.updated_at;
    let recorded = Recorded { session_id: run.session.id, revision: 2, at, by: None, event: set };
    run.session.apply_verified(&recorded).expect("as earlier versions recorded it");
    assert_eq!(check_created(&Created::fork_of(&run.session)), Ok(()));
}

#[test]
fn numbers_are_the_same_if_their_digits_are() {
    let has = |held: &str, value: &str| {
        let metadata: Value = serde_json::from_str(&format!("{{\"n\": {held}}}")).expect("metadata");
        let labels = serde_json::from_value::<relive_session::Labels>(json!({"metadata": metadata})).expect("labels");
        labels.has("n", &serde_json::from_str(value).expect("a number"))
    };
    for (held, value) in [
        ("1", "1.0"),
        ("1.0", "1"),
        ("-3", "-3.0"),
        ("0", "-0.0"),
        ("100", "1e2"),
        ("0.5", "0.50"),
        ("18446744073709551615", "18446744073709551615"),
        ("1e20", "100000000000000000000"),
        // The shortest text of the float is what is stored.
        ("12345678901234567000", "12345678901234567890.0"),
    ] {
        assert!(has(held, value) && has(value, held), "{held} {value}");
    }
    for (held, value) in [
        ("12345678901234567890", "12345678901234567891"),
        ("9007199254740993", "9007199254740992"),
        ("9007199254740993", "9007199254740992.0"),
        ("12345678901234567890", "12345678901234567890.0"),
        ("-9223372036854775808", "9223372036854775808"),
        ("1", "1.5"),
        ("1", "1e300"),
    ] {
        assert!(!has(held, value) && !has(value, held), "{held} {value}");
    }
}
