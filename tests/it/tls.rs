//! TLS to PostgreSQL: `sslmode` in `DATABASE_URL`.

use std::path::PathBuf;

use relive::storage::{MemoryScope, SearchLimits, Storage, StorageError, connect_options};

use crate::harness::{Authority, Postgres, eventually};

struct Setting {
    postgres: Postgres,
    files: tempfile::TempDir,
    authority: Authority,
}

impl Setting {
    /// A PostgreSQL whose certificate is for `localhost`.
    async fn start(rules: Option<&str>) -> Option<Self> {
        let (mut postgres, authority) = (Postgres::with_tls().await?, Authority::new());
        let (certificate, key) = authority.issue(&["localhost"]);
        for (name, content) in [("server.crt", &certificate), ("server.key", &key), ("ca.crt", &authority.pem)] {
            postgres.write(name, content);
        }
        if let Some(rules) = rules {
            postgres.rules(rules);
        }
        postgres.run(&["ssl=on", "ssl_ca_file=ca.crt"]).await;
        Some(Self { postgres, files: tempfile::tempdir().expect("a directory"), authority })
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// The file to trust the authority by.
    fn root(&self) -> PathBuf {
        self.file("root.crt", &self.authority.pem)
    }

    async fn connect(&self, host: &str, query: &str) -> Result<bool, StorageError> {
        is_encrypted(&self.postgres, host, query).await
    }
}

/// Whether a connection is encrypted, if one can be had.
async fn is_encrypted(postgres: &Postgres, host: &str, query: &str) -> Result<bool, StorageError> {
    let storage = Storage::new(connect_options(&postgres.url(host, query)).expect("an address"), 2);
    storage.ping().await?;
    let ssl = "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE client_addr IS NOT NULL AND backend_type = 'client backend'";
    let ssl = postgres.ask(ssl).await;
    storage.close().await;
    let connected = "SELECT count(*) = 0 FROM pg_stat_activity WHERE client_addr IS NOT NULL";
    eventually("it has left", async || postgres.ask::<bool>(connected).await).await;
    Ok(ssl)
}

#[tokio::test]
async fn each_mode_does_what_its_name_says() {
    let Some(setting) = Setting::start(None).await else { return };
    let root = setting.root();
    for (mode, is_encrypted) in [("disable", false), ("allow", false), ("prefer", true), ("require", true)] {
        let connected = setting.connect("127.0.0.1", &format!("sslmode={mode}")).await;
        assert_eq!(connected.expect(mode), is_encrypted, "{mode}");
    }
    assert!(setting.connect("127.0.0.1", "").await.expect("without a mode"), "TLS is preferred by itself");
    for (mode, host) in [("verify-ca", "127.0.0.1"), ("verify-ca", "localhost"), ("verify-full", "localhost")] {
        let query = format!("sslmode={mode}&sslrootcert={}", root.display());
        assert!(setting.connect(host, &query).await.expect(mode), "{mode} {host}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_right_is_refused() {
    let Some(setting) = Setting::start(None).await else { return };
    let (root, other) = (setting.root(), setting.file("other.crt", &Authority::new().pem));
    let full = format!("sslmode=verify-full&sslrootcert={}", root.display());
    for (host, query, reason) in [
        // For another host.
        ("127.0.0.1", full, "not valid for name"),
        // Of an authority that is not trusted, be it named or one of the public ones.
        ("localhost", format!("sslmode=verify-full&sslrootcert={}", other.display()), "invalid peer certificate"),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={}", other.display()), "invalid peer certificate"),
        ("localhost", format!("sslmode=require&sslrootcert={}", other.display()), "invalid peer certificate"),
        ("localhost", "sslmode=verify-full".to_owned(), "invalid peer certificate"),
        ("localhost", "sslrootcert=system".to_owned(), "invalid peer certificate"),
    ] {
        let error = setting.connect(host, &query).await.expect_err(&query);
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains(&setting.postgres.port.to_string()), "{query}: {text}");
        assert!(!error.is_worth_waiting(), "{query}: {text}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let postgres = Postgres::start().await;
    for mode in ["disable", "allow", "prefer"] {
        let connected = is_encrypted(&postgres, "127.0.0.1", &format!("sslmode={mode}")).await;
        assert!(!connected.expect(mode), "{mode}");
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = is_encrypted(&postgres, "127.0.0.1", &format!("sslmode={mode}")).await.expect_err(mode);
        assert!(error.to_string().contains("does not support TLS"), "{error}");
    }
}

/// What libpq does with `allow` and `prefer`: the one when the other is refused.
#[tokio::test]
async fn a_server_that_wants_it_the_other_way_gets_it() {
    let Some(setting) = Setting::start(Some("hostssl all all all trust\n")).await else { return };
    assert!(setting.connect("127.0.0.1", "sslmode=allow").await.expect("with TLS then"));
    assert!(setting.connect("127.0.0.1", "sslmode=disable").await.is_err());
    let Some(setting) = Setting::start(Some("hostnossl all all all trust\n")).await else { return };
    assert!(!setting.connect("127.0.0.1", "sslmode=prefer").await.expect("without TLS then"));
    assert!(setting.connect("127.0.0.1", "sslmode=require").await.is_err());
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let Some(setting) = Setting::start(Some("hostssl all all all cert\n")).await else { return };
    let (certificate, key) = setting.authority.issue(&["postgres"]);
    let (certificate, key) = (setting.file("client.crt", &certificate), setting.file("client.key", &key));
    let query = format!("sslmode=require&sslcert={}&sslkey={}", certificate.display(), key.display());
    assert!(setting.connect("127.0.0.1", &query).await.expect("known by its certificate"));
    assert!(setting.connect("127.0.0.1", "sslmode=require").await.is_err());
}

/// Writing, reading, searching and notices each have connections of their own.
#[tokio::test]
async fn every_connection_is_encrypted() {
    let Some(setting) = Setting::start(Some("hostssl all all all trust\n")).await else { return };
    let query = format!("sslmode=verify-full&sslrootcert={}", setting.root().display());
    let url = setting.postgres.url("localhost", &query);
    let storage = Storage::new(connect_options(&url).expect("an address"), 8);
    let mut notifier = storage.notifier();
    let mut listener = storage.listen().await.expect("notices are heard");
    notifier.notify(&["hello".to_owned()]).await.expect("notices are sent");
    assert_eq!(listener.next().await.expect("a notice"), "hello");
    let writer = storage.writer().await.expect("a writer");
    storage.ping().await.expect("reads");
    // There are no tables here; that is found out on a connection for searches.
    let nearness = SearchLimits { limit: 1, min_score: None };
    let searched = storage.nearest_memories(&MemoryScope::default(), &[1.0], nearness).await;
    assert!(!searched.expect_err("no memories").is_transient());
    let all = "SELECT bool_and(ssl) AND count(*) = 5 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE client_addr IS NOT NULL AND backend_type = 'client backend'";
    assert!(setting.postgres.ask::<bool>(all).await);
    drop(writer);
}
