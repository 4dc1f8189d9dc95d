//! An OpenID Connect provider, run by Node: the packages of `tests/oidc`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::node;

/// Where its packages are installed.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc")
}

async fn is_installed() -> bool {
    static INSTALLED: OnceCell<bool> = OnceCell::const_new();
    *INSTALLED.get_or_init(|| node::is_installed(directory())).await
}

/// How long a provider may take to start: on a busy machine Node alone takes many seconds.
const STARTED: Duration = Duration::from_secs(90);

/// The provider's process. It ends when this is dropped, and with the test process in any case, since its standard
/// input ends then.
struct Process {
    issuer: String,
    child: Child,
    _stdin: ChildStdin,
}

impl Process {
    /// Blocks until it listens.
    fn start() -> Self {
        let mut command = Command::new("node");
        command.arg("provider.mjs").current_dir(directory());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("node");
        let stdin = child.stdin.take().expect("stdin");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let (sender, issuer) = std::sync::mpsc::channel();
        // What it says later is of no interest, but must not block it.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(issuer) = line.strip_prefix("issuer ") {
                    let _ = sender.send(issuer.to_owned());
                }
            }
        });
        let issuer = issuer.recv_timeout(STARTED).expect("the provider starts");
        Self { issuer, child, _stdin: stdin }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running provider.
pub struct Provider {
    pub issuer: String,
    http: reqwest::Client,
    /// `None`: it is shared.
    own: Option<Process>,
}

impl Provider {
    /// The provider that tests share which only ask it. `None` where there is no Node.
    pub async fn shared() -> Option<Self> {
        static SHARED: LazyLock<Process> = LazyLock::new(Process::start);
        if !is_installed().await {
            return None;
        }
        let issuer = tokio::task::spawn_blocking(|| SHARED.issuer.clone()).await.expect("it starts");
        Some(Self::at(issuer, None))
    }

    /// One for a test that changes or ends it.
    pub async fn start() -> Option<Self> {
        if !is_installed().await {
            return None;
        }
        let process = tokio::task::spawn_blocking(Process::start).await.expect("it starts");
        Some(Self::at(process.issuer.clone(), Some(process)))
    }

    fn at(issuer: String, own: Option<Process>) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { issuer, http, own }
    }

    /// The token that the client `program` is given.
    pub async fn program_token(&self) -> String {
        let request = self.http.post(format!("{}/token", self.issuer)).basic_auth("program", Some("secret"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer: Value =
            request.body("grant_type=client_credentials").send().await.expect("an answer").json().await.expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A token with such a header and such claims; see `tests/oidc/provider.mjs`.
    pub async fn mint(&self, what: Value) -> String {
        self.test(Method::POST, "mint", what.to_string()).await
    }

    /// Exchanges the keys that sign.
    pub async fn rotate(&self) {
        self.test(Method::POST, "rotate", String::new()).await;
    }

    /// How often the keys were read.
    pub async fn reads(&self) -> usize {
        self.test(Method::GET, "reads", String::new()).await.parse().expect("a number")
    }

    async fn test(&self, method: Method, path: &str, body: String) -> String {
        let request = self.http.request(method, format!("{}/test/{path}", self.issuer)).body(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().await.expect("a text")
    }

    /// A browser that signs in at this address; returns the parameters with which the provider sends it back to
    /// the server.
    pub async fn sign_in(&self, location: &str) -> Vec<(String, String)> {
        let mut cookies: Vec<(String, String)> = Vec::new();
        let mut address = reqwest::Url::parse(location).expect("an address");
        for _ in 0..10 {
            let cookie: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = self.http.get(address.clone()).header("cookie", cookie.join("; "));
            let answer = request.send().await.expect("an answer");
            for set in answer.headers().get_all("set-cookie") {
                let pair = set.to_str().expect("a text").split(';').next().expect("a pair");
                let (name, value) = pair.split_once('=').expect("a pair");
                cookies.retain(|(known, _)| known != name);
                cookies.push((name.to_owned(), value.to_owned()));
            }
            let next = answer.headers().get("location").map(|next| next.to_str().expect("a text").to_owned());
            let Some(next) = next else { panic!("{address}: {:?}", answer.text().await) };
            address = address.join(&next).expect("an address");
            if address.path() == "/auth/callback" {
                return address.query_pairs().into_owned().collect();
            }
        }
        panic!("the provider sends the browser in circles");
    }

    /// Ends it.
    pub fn stop(self) {
        assert!(self.own.is_some(), "others use it");
    }
}
