use clap::Parser;
use relive::config::ServeConfig;
use relive::server::{Server, listen};
use relive::telemetry;

#[derive(Parser)]
enum Cli {
    Serve(ServeConfig),
}

#[tokio::main]
async fn main() {
    telemetry::init_logs();
    let Cli::Serve(config) = Cli::parse();
    let listener = listen(&config).await.expect("listen");
    let server = Server::prepare(listener, &config).await.expect("prepare");
    println!("listening on http://{}", server.address());
    server.run(async { drop(tokio::signal::ctrl_c().await) }).await;
}
