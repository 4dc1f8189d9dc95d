//! The AsyncAPI document: the sockets, from the types of their frames, as the OpenAPI document is made of the types of
//! bodies.

use axum::Extension;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::response::IntoResponse;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::client_address::ClientAddress;
use super::entry::PublicBase;
use super::openapi::{merge_all_of, open_free_objects, preceded};
use relive_protocol::{ClientFrame, ServerFrame};

/// The version of AsyncAPI.
const VERSION: &str = "3.0.0";
/// An example of every frame, as `{client: […], server: […]}`. A test plays the client's against a server, which must
/// answer with the others.
const EXAMPLES: &str = include_str!("examples.json");

/// A kind of sockets.
struct Channel {
    name: &'static str,
    /// As in the OpenAPI document, where the parameters are described.
    address: &'static str,
    summary: &'static str,
    client: &'static [&'static str],
    server: &'static [&'static str],
}

/// What clients of live sockets send.
const LIVE_CLIENT: &[&str] = &["subscribe", "unsubscribe", "command", "token", "auth", "ping"];
/// What they are sent.
const LIVE_SERVER: &[&str] = &[
    "subscribed",
    "snapshot",
    "delta",
    "event",
    "message",
    "log",
    "token",
    "ack",
    "error",
    "end",
    "authenticated",
    "expiring",
    "pong",
];

const CHANNELS: &[Channel] = &[
    Channel {
        name: "many",
        address: "/ws",
        summary: "Any number of sessions on one socket",
        client: LIVE_CLIENT,
        server: LIVE_SERVER,
    },
    Channel {
        name: "one",
        address: "/ws/sessions/{id}",
        summary: "One session, subscribed from the start",
        client: LIVE_CLIENT,
        server: LIVE_SERVER,
    },
    Channel {
        name: "list",
        address: "/ws/sessions",
        summary: "A live list of sessions, which may be subscribed to on the same socket",
        client: LIVE_CLIENT,
        server: &[
            "sessions",
            "session",
            "subscribed",
            "snapshot",
            "delta",
            "event",
            "message",
            "log",
            "token",
            "ack",
            "error",
            "end",
            "authenticated",
            "expiring",
            "pong",
        ],
    },
    Channel {
        name: "replay",
        address: "/ws/sessions/{id}/replay",
        summary: "A stored session, at its own pace",
        client: &["replay", "command", "auth", "ping"],
        server: &[
            "replayState",
            "snapshot",
            "delta",
            "event",
            "message",
            "log",
            "token",
            "ack",
            "error",
            "end",
            "authenticated",
            "expiring",
            "pong",
        ],
    },
];

/// The document without the address of the server, which depends on the request.
#[derive(Clone, Debug)]
pub struct AsyncApiDocument(Bytes);

impl AsyncApiDocument {
    pub fn new(openapi: &utoipa::openapi::OpenApi) -> Self {
        let openapi = serde_json::to_value(openapi).unwrap_or_default();
        let mut schemas = schemas();
        let frames = [("client", frames(&mut schemas, "ClientFrame")), ("server", frames(&mut schemas, "ServerFrame"))];
        let examples = serde_json::from_str(EXAMPLES).unwrap_or_default();
        let messages: Map<String, Value> =
            frames.into_iter().flat_map(|(from, frames)| messages(from, frames, &examples)).collect();
        let document = json!({
            "asyncapi": VERSION,
            "info": {
                "title": "Relive",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "The WebSockets of Relive: live sessions of workflow runs. Text frames carry one JSON \
                    object each, told apart by `type`. The HTTP API is described at `/api/openapi.json`.",
            },
            "defaultContentType": "application/json",
            "channels": CHANNELS.iter().map(|one| (one.name.to_owned(), one.describe(&openapi))).collect::<Map<_, _>>(),
            "operations": CHANNELS.iter().flat_map(Channel::operations).collect::<Map<_, _>>(),
            "components": {"messages": messages, "schemas": schemas, "securitySchemes": {"bearer": bearer()}},
        });
        Self(document.to_string().into())
    }

    fn at(&self, host: &str, is_tls: bool, base: &str) -> Bytes {
        let protocol = if is_tls { "wss" } else { "ws" };
        let mut server = json!({
            "host": host,
            "protocol": protocol,
            "security": [{"$ref": "#/components/securitySchemes/bearer"}],
        });
        if !base.is_empty() {
            server["pathname"] = base.into();
        }
        preceded(&self.0, "servers", &json!({"relive": server}))
    }
}

fn bearer() -> Value {
    json!({
        "type": "http",
        "scheme": "bearer",
        "description": "A key or an access token. Browsers send it as a subprotocol: `relive.v1`, and \
            `base64url.bearer.relive.` followed by the token in base64url.",
    })
}

/// All schemas that frames refer to, in the form of the OpenAPI document.
fn schemas() -> Value {
    let mut named = Vec::new();
    ClientFrame::schemas(&mut named);
    ServerFrame::schemas(&mut named);
    named.push(("ClientFrame".to_owned(), ClientFrame::schema()));
    named.push(("ServerFrame".to_owned(), ServerFrame::schema()));
    let schemas = named.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()));
    let mut schemas = Value::Object(schemas.collect());
    open_free_objects(&mut schemas);
    let unmerged = schemas.clone();
    merge_all_of(&mut schemas, &unmerged);
    schemas
}

/// Takes the frames of a union out of the schemas, by their type.
fn frames(schemas: &mut Value, union: &str) -> Vec<(String, Value)> {
    let union = schemas.as_object_mut().and_then(|schemas| schemas.remove(union)).unwrap_or_default();
    let variants = union["oneOf"].as_array().cloned().unwrap_or_default();
    let kind = |variant: &Value| variant["properties"]["type"]["enum"][0].as_str().map(str::to_owned);
    variants.into_iter().filter_map(|variant| Some((kind(&variant)?, variant))).collect()
}

fn messages(from: &str, frames: Vec<(String, Value)>, examples: &Value) -> Vec<(String, Value)> {
    let message = |(kind, mut payload): (String, Value)| {
        let description = payload.as_object_mut().and_then(|payload| payload.remove("description"));
        let examples = examples[from].as_array().into_iter().flatten().filter(|example| example["type"] == *kind);
        let examples: Vec<Value> = examples.map(|example| json!({"payload": example})).collect();
        let mut message = json!({"name": kind, "title": kind, "payload": payload, "examples": examples});
        if let Some(description) = description {
            message["description"] = description;
        }
        (format!("{from}.{kind}"), message)
    };
    frames.into_iter().map(message).collect()
}

impl Channel {
    fn names(&self) -> impl Iterator<Item = String> {
        let client = self.client.iter().map(|kind| format!("client.{kind}"));
        client.chain(self.server.iter().map(|kind| format!("server.{kind}")))
    }

    fn describe(&self, openapi: &Value) -> Value {
        let messages = self.names().map(|name| {
            let reference = json!({"$ref": format!("#/components/messages/{name}")});
            (name, reference)
        });
        let mut query = Map::new();
        let parameters = openapi["paths"][self.address]["get"]["parameters"].as_array();
        for parameter in parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "query") {
            let mut schema = parameter["schema"].clone();
            if let Some(description) = parameter.get("description") {
                schema["description"] = description.clone();
            }
            query.insert(parameter["name"].as_str().unwrap_or_default().to_owned(), schema);
        }
        let mut channel = json!({
            "address": self.address,
            "summary": self.summary,
            "servers": [{"$ref": "#/servers/relive"}],
            "messages": messages.collect::<Map<_, _>>(),
            "bindings": {"ws": {"method": "GET", "query": {"type": "object", "properties": query}}},
        });
        if self.address.contains("{id}") {
            channel["parameters"] = json!({"id": {"description": "The session's id, a UUID"}});
        }
        channel
    }

    /// What the server receives on the channel, and what it sends.
    fn operations(&self) -> [(String, Value); 2] {
        let operation = |action: &str, from: &str, kinds: &[&str]| {
            let reference = |kind: &&str| json!({"$ref": format!("#/channels/{}/messages/{from}.{kind}", self.name)});
            let operation = json!({
                "action": action,
                "channel": {"$ref": format!("#/channels/{}", self.name)},
                "messages": kinds.iter().map(reference).collect::<Vec<_>>(),
            });
            (format!("{}.{action}", self.name), operation)
        };
        [operation("receive", "client", self.client), operation("send", "server", self.server)]
    }
}

/// The sockets, as AsyncAPI describes them.
#[utoipa::path(get, path = "/api/asyncapi.json", operation_id = "asyncapi", tag = "server", responses(
    (status = 200, description = "The AsyncAPI document", content_type = "application/json")
))]
pub async fn asyncapi(
    Extension(document): Extension<AsyncApiDocument>,
    client: Option<Extension<ClientAddress>>,
    base: PublicBase,
    headers: HeaderMap,
) -> impl IntoResponse {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let is_tls = client.is_some_and(|Extension(client)| client.is_https());
    ([(CONTENT_TYPE, "application/json")], document.at(host, is_tls, base.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// The types of examples that are exactly what the type of frames reads and writes.
    fn kinds<F: DeserializeOwned + Serialize>(from: &str) -> BTreeSet<String> {
        let examples: Value = serde_json::from_str(EXAMPLES).expect("JSON");
        let mut kinds = BTreeSet::new();
        for example in examples[from].as_array().expect("examples") {
            let frame: F = serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("{error}: {example}"));
            assert_eq!(serde_json::to_value(frame).expect("JSON"), *example);
            kinds.insert(example["type"].as_str().expect("a type").to_owned());
        }
        kinds
    }

    fn named<'a>(channels: impl Iterator<Item = &'a [&'a str]>) -> BTreeSet<String> {
        channels.flatten().map(|kind| (*kind).to_owned()).collect()
    }

    #[test]
    fn every_frame_has_an_example_and_a_channel() {
        for (from, union, examples, channels) in [
            ("client", "ClientFrame", kinds::<ClientFrame>("client"), named(CHANNELS.iter().map(|one| one.client))),
            ("server", "ServerFrame", kinds::<ServerFrame>("server"), named(CHANNELS.iter().map(|one| one.server))),
        ] {
            let frames: BTreeSet<String> = frames(&mut schemas(), union).into_iter().map(|(kind, _)| kind).collect();
            assert!(frames.len() > 6, "{frames:?}");
            assert_eq!(frames, examples, "{from}: examples");
            assert_eq!(frames, channels, "{from}: channels");
        }
    }
}
