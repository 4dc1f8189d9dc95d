//! The ids of tool calls. A client takes calls of one id for one call, in the whole conversation; models number theirs
//! anew in each answer.

use std::collections::{HashMap, HashSet};

use relive_session::Session;
use serde_json::Value;

/// Calls that are known at a time; beyond that they are forgotten.
pub const KNOWN_CALLS: u32 = 10_000;

/// Gives calls the ids by which the client knows them. They follow from the conversation before the run and from the
/// calls of the run so far, so that all streams of a run agree on them.
#[derive(Debug, Default)]
pub struct CallIds {
    /// What the client has for ids.
    taken: HashSet<String>,
    /// By the id that the model gave: the client's id of the newest such call, and the number in it.
    newest: HashMap<String, (String, u32)>,
}

impl CallIds {
    /// Notes the calls of the conversation before the run, which the inputs have.
    pub fn note_conversation(&mut self, session: &Session) {
        let inputs = session.origin.inputs.as_deref();
        let messages = inputs.and_then(|inputs| inputs.get("messages")).and_then(Value::as_array);
        let calls = messages.into_iter().flatten().filter_map(|message| message.get("toolCalls")?.as_array()).flatten();
        let ids = calls.filter_map(|call| call.get("id")?.as_str());
        self.taken.extend(ids.take(KNOWN_CALLS as usize).map(str::to_owned));
    }

    /// The id of a new call.
    pub fn begin(&mut self, id: &str) -> String {
        if self.newest.len() >= KNOWN_CALLS as usize {
            self.newest.clear();
        }
        if self.taken.len() >= KNOWN_CALLS as usize {
            self.taken.clear();
        }
        let mut uses = self.newest.get(id).map_or(0, |(_, uses)| *uses);
        let shown = loop {
            uses = uses.saturating_add(1);
            let shown = if uses == 1 { id.to_owned() } else { format!("{id}#{uses}") };
            if self.taken.insert(shown.clone()) {
                break shown;
            }
        };
        self.newest.insert(id.to_owned(), (shown.clone(), uses));
        shown
    }

    /// The id of the newest call that has this one.
    pub fn newest<'a>(&'a self, id: &'a str) -> &'a str {
        self.newest.get(id).map_or(id, |(shown, _)| shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_calls_have_an_id_in_common() {
        let mut calls = CallIds { taken: ["a", "a#2", "b#2"].map(str::to_owned).into(), ..CallIds::default() };
        assert_eq!(calls.newest("a"), "a", "a call of the conversation before");
        for (id, shown) in [("a", "a#3"), ("b", "b"), ("b", "b#3"), ("a", "a#4"), ("b#3", "b#3#2"), ("c", "c")] {
            assert_eq!(calls.begin(id), shown);
            assert_eq!(calls.newest(id), shown);
        }
        assert_eq!(calls.newest("b"), "b#3");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut calls = CallIds::default();
        for n in 0..3 * KNOWN_CALLS {
            calls.begin(&n.to_string());
            calls.begin("again");
        }
        assert!(calls.taken.len() <= KNOWN_CALLS as usize && calls.newest.len() <= KNOWN_CALLS as usize);
    }
}
