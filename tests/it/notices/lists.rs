//! Live lists on one server of sessions that another one drives.

use std::collections::BTreeMap;

use relive::hub::{CreateOptions, Hub, HubOptions};
use relive_session::Created;
use reqwest::Method;
use serde_json::{Value, json};

use super::{promptly, two};
use crate::harness::{Database, Socket, TestServer, node};
use crate::hub::running;

/// A list as its client holds it. Two servers that have just found each other let their lists start
/// over, so a whole list can come at any time.
struct List {
    socket: Socket,
    sessions: BTreeMap<String, Value>,
}

impl List {
    async fn open(server: &TestServer, query: &str) -> Self {
        Self { socket: server.socket(&format!("/ws/sessions{query}")).await, sessions: BTreeMap::new() }
    }

    async fn until(&mut self, holds: impl Fn(&BTreeMap<String, Value>) -> bool) {
        while !holds(&self.sessions) {
            let frame = promptly(self.socket.frame()).await;
            let id = |session: &Value| session["id"].as_str().expect("an id").to_owned();
            if frame["type"] == "sessions" {
                let all = frame["sessions"].as_array().expect("sessions");
                self.sessions = all.iter().map(|session| (id(session), session.clone())).collect();
                continue;
            }
            let session = &frame["session"];
            let before = self.sessions.get(&id(session)).map(|before| before["revision"].as_u64());
            match frame["change"].as_str().expect("a change") {
                "removed" => assert!(self.sessions.remove(&id(session)).is_some(), "{frame}"),
                change => {
                    assert_eq!(before.is_some(), change == "changed", "{frame}");
                    assert!(before < Some(session["revision"].as_u64()), "never shown twice: {frame}");
                    self.sessions.insert(id(session), session.clone());
                }
            }
        }
    }
}

async fn summary(server: &TestServer, id: &str) -> Value {
    let (_, list) = server.get("/api/v1/sessions").await;
    let all = list["sessions"].as_array().expect("sessions");
    all.iter().find(|session| session["id"] == id).cloned().unwrap_or_default()
}

#[tokio::test]
async fn sessions_come_change_and_go() {
    let [here, there] = two().await;
    let mut list = List::open(&here, "").await;
    let id = there.new_session().await;
    list.until(|held| held.contains_key(&id)).await;
    there.command(&id, json!([{"type": "start"}, node("a", "running")])).await;
    list.until(|held| held[&id]["revision"] == 3).await;
    assert_eq!(list.sessions[&id], summary(&there, &id).await);
    // Watched here, it comes from memory; otherwise it is read.
    let mut viewer = here.socket(&format!("/ws/sessions/{id}")).await;
    viewer.frame().await;
    there.command(&id, node("a", "completed")).await;
    list.until(|held| held[&id]["revision"] == 4).await;
    assert_eq!(list.sessions[&id], summary(&there, &id).await);
    here.command(&id, node("b", "running")).await;
    list.until(|held| held[&id]["revision"] == 5).await;
    for id in [id, there.running_session().await] {
        list.until(|held| held.contains_key(&id)).await;
        assert_eq!(there.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
        list.until(|held| !held.contains_key(&id)).await;
    }
}

/// The notice of a deletion comes when another session is stored under the id already, and nothing more is said
/// of that one.
#[tokio::test]
async fn a_late_notice_of_a_deletion_leaves_the_session_that_was_made_since_then() {
    let database = Database::create().await;
    let here = TestServer::start_on(database.clone(), |_| {}).await;
    let storage = database.storage();
    let hub = Hub::new(storage.clone(), &HubOptions::default());
    let id = running(&hub).await;
    let first = storage.summary(id).await.expect("a read").expect("a summary");
    let mut list = List::open(&here, "").await;
    let name = id.to_string();
    list.until(|held| held.get(&name).is_some_and(|session| session["revision"] == 2)).await;
    assert!(storage.delete_session(id, first.identity()).await.expect("deleted"));
    hub.create(
        id,
        Created { workflow_name: Some("second".to_owned()), ..Created::default() },
        CreateOptions::default(),
    )
    .await
    .expect("created");
    let is_second =
        |held: &BTreeMap<String, Value>| held.get(&name).is_some_and(|session| session["workflowName"] == "second");
    let sender = uuid::Uuid::now_v7();
    let of = |incarnations: Value| {
        let deleted = json!({"deleted": [first], "incarnations": incarnations});
        format!("{sender}{deleted}")
    };
    // Whether or not it says which session of that id, as a server of the version before does not.
    for notice in [of(json!([first.incarnation])), of(json!([]))] {
        storage.notifier().notify(&[notice]).await.expect("sent");
        list.until(is_second).await;
        let other = here.new_session().await;
        list.until(|held| held.contains_key(&other)).await;
        assert!(is_second(&list.sessions), "{:?}", list.sessions);
    }
}

#[tokio::test]
async fn filters_hold_for_sessions_that_are_not_in_memory() {
    let [here, there] = two().await;
    let graph = crate::harness::chain(&["a", "b"]);
    let (_, group) = there.post("/api/v1/groups", json!({"name": "g"})).await;
    let (_, workflow) = there.post("/api/v1/workflows", json!({"name": "Deploy it", "graph": graph})).await;
    let [group, workflow] = [&group, &workflow].map(|row| row["id"].as_str().expect("an id").to_owned());
    let mut lists = Vec::new();
    for query in ["status=running,paused", &format!("groupId={group}"), "text=dEPLOY", "nodeId=a&nodeStatus=running"] {
        lists.push(List::open(&here, &format!("?{query}")).await);
    }
    let other = there.running_session().await;
    let id = there.create(json!({"groupId": group, "workflowId": workflow})).await;
    let hex = List::open(&here, &format!("?text={}", &id[..23])).await;
    lists.push(hex);
    there.command(&id, json!([{"type": "start"}, node("a", "running")])).await;
    for (place, list) in lists.iter_mut().enumerate() {
        list.until(|held| held.get(&id).is_some_and(|session| session["revision"] == 3)).await;
        assert_eq!(list.sessions.contains_key(&other), place == 0, "{place}");
        assert_eq!(list.sessions[&id], summary(&there, &id).await);
    }
    // It leaves those lists only that it does not belong on any more.
    there.command(&id, json!({"type": "fail", "error": "broke"})).await;
    for (place, list) in lists.iter_mut().enumerate() {
        match place {
            0 | 3 => list.until(|held| !held.contains_key(&id)).await,
            _ => list.until(|held| held[&id]["status"] == "failed").await,
        }
    }
    // One joins by an error that it gets, and is mentioned on no other list than it belongs on.
    let mut broken = List::open(&here, "?text=fell+over").await;
    there.command(&other, json!({"type": "fail", "error": "It FELL over"})).await;
    broken.until(|held| held.contains_key(&other)).await;
}

#[tokio::test]
async fn a_deleted_group_takes_its_sessions_off_lists_elsewhere() {
    let [here, there] = two().await;
    let (_, group) = there.post("/api/v1/groups", json!({"name": "g"})).await;
    let group = group["id"].as_str().expect("an id");
    let mut list = List::open(&here, "").await;
    let stays = there.new_session().await;
    for _ in 0..40 {
        there.create(json!({"groupId": group})).await;
    }
    list.until(|held| held.len() == 41).await;
    assert_eq!(there.call(Method::DELETE, &format!("/api/v1/groups/{group}"), None).await.0, 204);
    list.until(|held| held.len() == 1).await;
    assert!(list.sessions.contains_key(&stays));
}

/// What another server has changed is read from the database, whose conditions are the same as those for states in
/// memory.
#[tokio::test]
async fn sessions_enter_and_leave_by_their_labels() {
    let [here, there] = two().await;
    let id = there.new_session().await;
    let mut list = List::open(&here, "?tag=a&metadata.n=5&text=run").await;
    let labels = json!({"type": "setLabels", "name": "Run", "tags": ["b", "a"], "metadata": {"n": 5}});
    there.command(&id, labels).await;
    list.until(|held| held.contains_key(&id)).await;
    there.command(&id, json!({"type": "setLabels", "metadata": {"n": 6}})).await;
    list.until(|held| !held.contains_key(&id)).await;
}
