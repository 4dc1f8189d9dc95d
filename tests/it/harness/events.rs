//! A client of event streams (`text/event-stream`) that reads events with a deadline.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::Response;
use serde_json::Value;

use super::DEADLINE;

/// An event, as the HTML standard defines it: its fields until an empty line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    pub kind: String,
    /// Of this event alone; a browser remembers the last.
    pub id: Option<String>,
    pub retry: Option<u64>,
    pub data: Value,
}

/// What is next in a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Event(Event),
    /// A line that begins with a colon.
    Comment,
    /// A reconnection time without an event.
    Retry(u64),
    End,
}

pub struct EventSource {
    pub headers: reqwest::header::HeaderMap,
    stream: BoxStream<'static, reqwest::Result<Bytes>>,
    buffer: String,
}

impl EventSource {
    /// Sends a request that must be answered with an event stream.
    pub async fn open(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{}", response.text().await.expect("a text"));
        Self::of(response)
    }

    pub fn of(response: Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { headers: response.headers().clone(), stream: response.bytes_stream().boxed(), buffer: String::new() }
    }

    pub async fn part(&mut self) -> Part {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                return parse(&block);
            }
            match tokio::time::timeout(DEADLINE, self.stream.next()).await.expect("an event in time") {
                Some(bytes) => {
                    let bytes = bytes.expect("a sound body");
                    self.buffer.push_str(std::str::from_utf8(&bytes).expect("events of whole characters"));
                }
                None => {
                    assert_eq!(self.buffer, "", "an event that was cut off");
                    return Part::End;
                }
            }
        }
    }

    /// The next event; comments are passed over.
    pub async fn event(&mut self) -> Event {
        loop {
            match self.part().await {
                Part::Event(event) => return event,
                Part::Comment | Part::Retry(_) => {}
                Part::End => panic!("the stream has ended"),
            }
        }
    }

    /// The next event of a type; those of other types are passed over.
    pub async fn event_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.event().await;
            if event.kind == kind {
                return event;
            }
        }
    }

    /// All events until the stream ends.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            match self.part().await {
                Part::Event(event) => events.push(event),
                Part::Comment | Part::Retry(_) => {}
                Part::End => return events,
            }
        }
    }
}

fn parse(block: &str) -> Part {
    let (mut event, mut data, mut is_comment) = (Event::default(), Vec::new(), false);
    for line in block.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').expect("a field");
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => is_comment = true,
            "event" => value.clone_into(&mut event.kind),
            "id" => event.id = Some(value.to_owned()),
            "retry" => event.retry = Some(value.parse().expect("milliseconds")),
            "data" => data.push(value.to_owned()),
            other => panic!("no field is called {other}"),
        }
    }
    match (data.is_empty(), event.retry) {
        (false, _) => Part::Event(Event { data: serde_json::from_str(&data.join("\n")).expect("JSON"), ..event }),
        (true, Some(retry)) => Part::Retry(retry),
        (true, None) if is_comment => Part::Comment,
        (true, None) => panic!("an empty event: {block:?}"),
    }
}
