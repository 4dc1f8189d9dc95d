use relive_client::{Client, Command, CreateSession};
use serde_json::{from_value, json};

pub async fn report(server: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect(server).await?;
    let session = CreateSession { name: Some("Nightly ETL".into()), ..CreateSession::default() };
    let id = client.create_session(&session, "etl-2026-01-31").await?.id;
    let commands: Vec<Command> = from_value(json!([
        {"type": "start"},
        {"type": "setNodeStatus", "nodeId": "fetch", "status": "running"},
        {"type": "addLog", "nodeId": "fetch", "level": "info", "text": "half way"},
        {"type": "setNodeStatus", "nodeId": "fetch", "status": "completed", "output": {"rows": 42}},
        {"type": "complete"},
    ]))?;
    client.command(id, commands).await?;
    println!("{} is {:?}", id, client.session(id).await?.status);
    Ok(())
}
