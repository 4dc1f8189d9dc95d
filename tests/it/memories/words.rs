//! By words, in the languages people write.

use serde_json::{Value, json};

use super::{contents, scores};
use crate::harness::TestServer;

async fn server_with(texts: &[&str]) -> TestServer {
    let server = TestServer::start().await;
    for text in texts {
        server.remember(json!({"content": text})).await;
    }
    server
}

async fn first(server: &TestServer, text: &str) -> String {
    let found = server.recall(json!({"text": text, "limit": 1})).await;
    assert_eq!(found["method"], "text");
    contents(&found).first().copied().unwrap_or("nothing").to_owned()
}

#[tokio::test]
async fn the_more_of_the_words_the_better() {
    let server = server_with(&[
        "Ada likes strong tea",
        "Ada likes coffee, and so does everybody else who has ever worked in this office",
        "The weather was bad",
    ])
    .await;
    let found = server.recall(json!({"text": "which tea does ADA like"})).await;
    assert_eq!(
        contents(&found),
        ["Ada likes strong tea", "Ada likes coffee, and so does everybody else who has ever worked in this office"]
    );
    let scores = scores(&found);
    assert!(scores[0] > scores[1] && scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
    let found: Value = server.recall(json!({"text": "Ada likes strong tea"})).await;
    assert!((super::scores(&found)[0] - 1.0).abs() < 1e-6, "identical: {found}");
    let found = server.recall(json!({"text": "Ada likes strong tea", "minScore": 0.99})).await;
    assert_eq!(contents(&found), ["Ada likes strong tea"]);
    assert_eq!(first(&server, "umbrella").await, "nothing");
}

#[tokio::test]
async fn scripts_without_spaces_right_to_left_and_emoji_are_found() {
    let texts = [
        "用户喜欢喝绿茶，不喜欢咖啡",
        "会议改到星期三下午",
        "ユーザーは緑茶が好きです",
        "사용자는 녹차를 좋아합니다",
        "المستخدم يحب الشاي الأخضر",
        "המשתמש אוהב תה ירוק",
        "deploy went well 🦀🚀",
        "ผู้ใช้ชอบชาเขียว",
    ];
    let server = server_with(&texts).await;
    for (asked, expected) in [
        ("绿茶", 0),
        ("咖啡", 0),
        ("用户喜欢什么茶", 0),
        ("星期三", 1),
        ("緑茶", 2),
        ("녹차를", 3),
        ("الشاي", 4),
        ("תה ירוק", 5),
        ("🚀", 6),
        ("ชาเขียว", 7),
    ] {
        assert_eq!(first(&server, asked).await, texts[expected], "{asked}");
    }
    let all: Vec<String> = {
        let found = server.recall(json!({"text": "喜欢"})).await;
        contents(&found).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(all, [texts[0]]);
}

#[tokio::test]
async fn parts_of_words_are_found_and_patterns_are_plain_characters() {
    let server = server_with(&["configuration.yaml", "progress: 100%", "progress: 1000", r"C:\temp\a_b", "axb"]).await;
    assert_eq!(first(&server, "figurat").await, "configuration.yaml");
    assert_eq!(first(&server, "00%").await, "progress: 100%");
    let found = server.recall(json!({"text": "a_b"})).await;
    assert_eq!(contents(&found), [r"C:\temp\a_b"]);
    assert_eq!(first(&server, r"\temp\").await, r"C:\temp\a_b");
    for operators in ["\"", "or", "-", "& | !", "( <->", "tea:* & 'x", "\\", "%", "''"] {
        // Whatever it finds, it is a search and no error.
        server.recall(json!({"text": operators})).await;
    }
}

#[tokio::test]
async fn a_text_of_any_size_and_kind_can_be_stored_and_found() {
    // More different words than one tsvector can hold, and one word longer than it takes.
    let many: String = (0..120_000).map(|n| format!("{n:x} ")).collect();
    let long = "x".repeat(500_000);
    let server = server_with(&[&many, &long, "", " "]).await;
    let found = server.recall(json!({"text": "abc", "limit": 1})).await;
    assert!(contents(&found)[0].starts_with("0 1 2"), "the many words");
}
