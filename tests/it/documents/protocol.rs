//! `docs/protocol.md`: its examples are played, its tables compared with the types of the server.

use std::collections::{BTreeMap, BTreeSet};

use relive_protocol::{CloseCode, ErrorCode};
use serde_json::{Value, json};

use super::conversation::{Conversation, Played};
use super::declarations::{Declarations, Members};
use super::markdown::{Document, code_words, root};
use crate::harness::TestServer;

fn page() -> Document {
    Document::read("docs/protocol.md")
}

fn kinds(frames: &[Value]) -> BTreeSet<String> {
    frames.iter().map(|frame| frame["type"].as_str().expect("a type").to_owned()).collect()
}

#[tokio::test]
async fn the_examples_are_what_the_server_does() {
    let (server, mut played) = (TestServer::start().await, Played::default());
    for section in page().sections().iter().filter(|section| !section.blocks().is_empty()) {
        let Played { client, server } = Conversation::play(&server, section).await;
        played.client.extend(client);
        played.server.extend(server);
    }
    let types = Declarations::read();
    let missing = |union: &str, frames: &[Value], reserved: &[&str]| -> Vec<String> {
        let shown = kinds(frames);
        let is_missing = |kind: &String| !shown.contains(kind) && !reserved.contains(&&**kind);
        types.union(union).into_keys().filter(is_missing).collect()
    };
    assert!(missing("ClientFrame", &played.client, &["auth"]).is_empty(), "frames without an example");
    // Of servers with access control; tests/it/access has them.
    let reserved = ["authenticated", "expiring"];
    assert!(missing("ServerFrame", &played.server, &reserved).is_empty(), "frames without an example");
}

/// The frames that a part of the page describes: one heading each, with the members as a table.
fn described(part: &str, next: &str) -> BTreeMap<String, Members> {
    let sections = page().sections();
    let between = sections.iter().skip_while(|section| section.title != part).skip(1);
    let frames = between.take_while(|section| section.title != next);
    let members = |rows: Vec<Vec<String>>| rows.iter().map(|row| code_words(&row[0]).concat()).collect();
    frames.map(|section| (section.title.trim_matches('`').to_owned(), members(section.rows()))).collect()
}

/// A table of kinds and their members.
fn listed(section: &str) -> BTreeMap<String, Members> {
    let rows = page().section(section).rows();
    let row = |row: Vec<String>| {
        let kind = code_words(&row[0]).concat();
        // What stands in parentheses is said of a member.
        let members = row[1].split('(').next().expect("members");
        (kind, code_words(members).into_iter().collect())
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn every_frame_is_described_with_its_members() {
    let types = Declarations::read();
    assert_eq!(described("Frames from the client", "Frames from the server"), types.union("ClientFrame"));
    assert_eq!(described("Frames from the server", "Modes"), types.union("ServerFrame"));
}

#[test]
fn every_event_and_command_is_listed_with_its_members() {
    let types = Declarations::read();
    assert_eq!(listed("Events"), types.union("Event"));
    let mut commands = listed("Commands");
    // The second table says which states a command leads to.
    commands.retain(|kind, _| types.union("Command").contains_key(kind));
    let transitions = ["start", "pause", "resume", "complete", "fail", "stop", "cancel"];
    let members = |kind: &str| -> Members {
        let rows = page().section("Commands").rows();
        let row = rows.into_iter().find(|row| code_words(&row[0]) == [kind]).expect("a row");
        code_words(row[1].split('(').next().expect("members")).into_iter().collect()
    };
    for kind in transitions {
        commands.insert(kind.to_owned(), members(kind));
    }
    assert_eq!(commands, types.union("Command"));
}

#[test]
fn the_modes_and_actions_are_all_there() {
    let types = Declarations::read();
    let modes: BTreeSet<String> =
        page().section("Modes").rows().iter().map(|row| code_words(&row[0]).concat()).collect();
    assert_eq!(modes, types.texts("Mode"));
    let actions = page().section("`replay`").rows().into_iter().find(|row| row[0] == "`action`").expect("actions");
    assert_eq!(code_words(&actions[1]).into_iter().collect::<BTreeSet<_>>(), types.texts("ReplayAction"));
    let change = page().section("`session`").rows().into_iter().find(|row| row[0] == "`change`").expect("changes");
    assert_eq!(code_words(&change[1]).into_iter().collect::<BTreeSet<_>>(), types.texts("SessionChange"));
}

#[test]
fn every_error_code_is_listed_with_its_status() {
    let rows = page().section("Errors").rows();
    let mut listed = BTreeSet::new();
    for row in &rows {
        let name = code_words(&row[0]).concat();
        let code: ErrorCode = serde_json::from_value(json!(name)).unwrap_or_else(|_| panic!("no such code: {name}"));
        let expected = [code.http_status().to_string(), if code.is_retryable() { "yes" } else { "no" }.to_owned()];
        assert_eq!(row[1..3], expected, "{name}");
        listed.insert(name);
    }
    assert_eq!(listed, Declarations::read().texts("ErrorCode"));
}

/// All of them; one that is added does not compile here before it is in this list.
fn close_codes() -> Vec<CloseCode> {
    use CloseCode::{
        BadToken, Forbidden, GoingAway, InvalidText, NoPong, NoSuchSession, Normal, NotThisProtocol, ProtocolError,
        RateLimited, Restarting, TokenExpired, TooLarge, WriteStalled,
    };
    let next = |code| match code {
        Normal => Some(GoingAway),
        GoingAway => Some(ProtocolError),
        ProtocolError => Some(InvalidText),
        InvalidText => Some(TooLarge),
        TooLarge => Some(Restarting),
        Restarting => Some(TokenExpired),
        TokenExpired => Some(WriteStalled),
        WriteStalled => Some(NoPong),
        NoPong => Some(RateLimited),
        RateLimited => Some(BadToken),
        BadToken => Some(NotThisProtocol),
        NotThisProtocol => Some(Forbidden),
        Forbidden => Some(NoSuchSession),
        NoSuchSession => None,
    };
    std::iter::successors(Some(Normal), |code| next(*code)).collect()
}

#[test]
fn every_close_code_is_listed_with_what_a_client_does() {
    let listed: Vec<[String; 3]> = page()
        .section("Close codes")
        .rows()
        .into_iter()
        .map(|row| {
            let does = if row[2].contains("connects again") { "connects again" } else { "stays away" };
            assert!(row[2].contains(does), "{row:?}");
            [row[0].clone(), row[1].clone(), does.to_owned()]
        })
        .collect();
    let expected: Vec<[String; 3]> = close_codes()
        .into_iter()
        .map(|code| {
            let does = if CloseCode::should_reconnect(code.code()) { "connects again" } else { "stays away" };
            [code.code().to_string(), code.reason().to_owned(), does.to_owned()]
        })
        .collect();
    assert_eq!(listed, expected);
    for (code, again) in [(1000, false), (1002, false), (1003, false), (1006, true), (1007, false), (1010, false)] {
        assert_eq!(CloseCode::should_reconnect(code), again, "{code}");
    }
    for (code, again) in [(1011, true), (3999, true), (4000, true), (4499, true), (4500, false), (4999, false)] {
        assert_eq!(CloseCode::should_reconnect(code), again, "{code}");
    }
}

#[tokio::test]
async fn the_parameters_of_the_sockets_are_all_there() {
    let (_, document) = TestServer::start().await.get("/api/openapi.json").await;
    let rows = page().section("Connecting").rows();
    let tables: Vec<&[Vec<String>]> = rows.chunks(4).collect();
    let mut addresses = BTreeSet::new();
    for row in tables[1] {
        let address = code_words(&row[0]).concat();
        let given: BTreeSet<String> = code_words(row[1].split(": ").next().expect("names")).into_iter().collect();
        let known = document["paths"][&address]["get"]["parameters"].as_array().into_iter().flatten();
        let known = known.filter(|parameter| parameter["in"] == "query");
        let known: BTreeSet<String> = known.filter_map(|known| Some(known["name"].as_str()?.to_owned())).collect();
        assert_eq!(given, known, "{address}");
        addresses.insert(address);
    }
    let sockets = document["paths"].as_object().expect("paths").keys().filter(|path| path.starts_with("/ws"));
    assert_eq!(addresses, sockets.cloned().collect());
    assert_eq!(addresses, tables[0].iter().map(|row| code_words(&row[0]).concat()).collect());
}

/// `npm run check` compares `contract.ts` with the generated types.
#[test]
fn the_types_are_those_that_the_typescript_package_is_held_to() {
    let section = page().section("Types");
    let block = section.blocks().into_iter().find(|block| block.kind == "ts").expect("a block of types");
    let contract = std::fs::read_to_string(root().join("frontend-types/test/contract.ts")).expect("the contract");
    let contract = contract.replace("export ", "");
    let types = contract.split("// The types of docs/protocol.md, section Types.").nth(1).expect("its first part");
    let types = types.split("// Section ").next().expect("the types");
    // Without comments, and however it is laid out.
    let code = |text: &str| -> String {
        let lines = text.lines().map(|line| line.split("//").next().expect("code").trim());
        let code = lines.flat_map(|line| line.split([';', ' '])).filter(|word| !word.is_empty());
        code.collect::<Vec<_>>().join(" ").replace("= |", "=")
    };
    assert_eq!(code(&block.text), code(types));
}
