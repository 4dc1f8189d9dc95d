//! A driver that sends a session's commands to any server, and again until they are answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;

/// What a driver was told.
pub struct Told {
    pub session: String,
    /// The revision each command was answered with.
    pub answered: BTreeMap<u64, u64>,
    /// Commands without an id whose answer never came: carried out once or not at all.
    pub unknown: Vec<u64>,
}

pub struct Driver {
    pub session: String,
    fleet: Arc<Fleet>,
    random: StdRng,
    /// The number of the only server that it sends to.
    place: Option<usize>,
}

impl Driver {
    pub async fn start(fleet: Arc<Fleet>, seed: u64) -> Self {
        let session = fleet.post("/api/v1/sessions", &json!({})).await;
        let session = session["id"].as_str().expect("an id").to_owned();
        fleet.post(&format!("/api/v1/sessions/{session}/commands"), &json!({"type": "start"})).await;
        Self { session, fleet, random: StdRng::seed_from_u64(seed), place: None }
    }

    /// It sends to this server alone.
    pub fn at(self, place: usize) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Sends commands one after the other until it is told to stop, and completes the session.
    /// `always_named`: every command has an id, otherwise every other one.
    pub async fn run(mut self, stop: CancellationToken, always_named: bool) -> Told {
        let mut told = Told { session: self.session.clone(), answered: BTreeMap::new(), unknown: Vec::new() };
        for number in 0.. {
            if stop.is_cancelled() {
                break;
            }
            let command = json!({"type": "setContext", "key": format!("k{}", number % 50), "value": number});
            let is_named = always_named || number % 2 == 0;
            match self.send(&command, is_named.then(|| format!("c{number}"))).await {
                Some(revision) => assert_eq!(told.answered.insert(number, revision), None),
                None => told.unknown.push(number),
            }
        }
        self.send(&json!({"type": "complete"}), Some("end".to_owned())).await;
        told
    }

    /// The revision of the answer. Without an id there is no second try once the outcome is unknown.
    async fn send(&mut self, command: &Value, command_id: Option<String>) -> Option<u64> {
        loop {
            let url =
                self.fleet.any(&mut self.random, self.place, &format!("/api/v1/sessions/{}/commands", self.session));
            let mut request = self.fleet.http().post(url).json(command);
            if let Some(id) = &command_id {
                request = request.header("Idempotency-Key", id);
            }
            let is_refused_whole = match request.send().await {
                Ok(answer) if answer.status().is_success() => match answer.json::<Value>().await {
                    Ok(receipt) => return receipt["revision"].as_u64(),
                    Err(_) => false,
                },
                Ok(answer) => {
                    // nginx says 502 or 504 of a server that has gone.
                    assert!(matches!(answer.status().as_u16(), 502..=504), "{:?}", answer.text().await);
                    false
                }
                // Nobody was there to take it.
                Err(error) => error.is_connect(),
            };
            if command_id.is_none() && !is_refused_whole {
                return None;
            }
            sleep(Duration::from_millis(self.random.random_range(5..50))).await;
        }
    }
}
