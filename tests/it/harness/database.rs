//! One PostgreSQL for the test process, and a database of its own for each test.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use relive::storage::Storage;
use relive::storage::cluster::{Cluster, ClusterOptions};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

const TEMPLATE: &str = "relive_template";

/// The cluster lives on a runtime of its own, which outlives the runtimes of the tests. When the
/// process ends, however it ends, its PostgreSQL ends with it.
struct TestCluster {
    runtime: Runtime,
    cluster: Cluster,
}

static CLUSTER: LazyLock<TestCluster> = LazyLock::new(|| {
    std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let cluster = runtime.block_on(start());
        TestCluster { runtime, cluster }
    })
    .join()
    .expect("the test cluster starts")
});

async fn start() -> Cluster {
    remove_leftovers();
    let data_dir = directory(std::process::id());
    std::fs::create_dir_all(&data_dir).expect("test directory");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&data_dir, std::fs::Permissions::from_mode(0o711)).expect("permissions");
    }
    let options = ClusterOptions { data_dir, postgres_bin: None, durable: false };
    let cluster = Cluster::start(options).await.expect("PostgreSQL starts; run `make postgres` first");
    let mut admin = PgConnection::connect_with(&cluster.connect_options()).await.expect("connect");
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}"))).execute(&mut admin).await.expect("template");
    let template = Storage::new(cluster.connect_options().database(TEMPLATE), 2);
    template.migrate(8).await.expect("migrate");
    template.close().await;
    cluster
}

fn directory(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("relive-test-{process}"))
}

/// Removes what test processes that are no more have left behind.
fn remove_leftovers() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix("relive-test-")?.parse::<i32>().ok());
        let is_gone = |process| nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), None).is_err();
        if process.is_some_and(is_gone) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The test process's PostgreSQL.
pub fn test_cluster() -> &'static Cluster {
    &CLUSTER.cluster
}

thread_local! {
    /// The databases of the test that this thread runs.
    static CREATED: RefCell<Created> = const { RefCell::new(Created(Vec::new())) };
}

/// Drops its databases with the thread, which is to say after the test: all of them together would take
/// some 8 GB. Whoever is still connected to one loses it.
struct Created(Vec<String>);

impl Drop for Created {
    fn drop(&mut self) {
        let names = std::mem::take(&mut self.0);
        CLUSTER.runtime.spawn(async move {
            let mut admin = PgConnection::connect_with(&CLUSTER.cluster.connect_options()).await?;
            for name in names {
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await?;
            }
            admin.close().await
        });
    }
}

/// A migrated database that nobody else uses, and that is dropped when the test has ended.
#[derive(Clone)]
pub struct Database {
    name: String,
}

impl Database {
    pub async fn create() -> Self {
        Self::made(&format!("TEMPLATE {TEMPLATE}")).await
    }

    /// One that nothing was done to yet.
    pub async fn empty() -> Self {
        Self::made("TEMPLATE template0").await
    }

    /// One with these options of `CREATE DATABASE`.
    pub async fn made(options: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // A template cannot be copied while it is being copied.
        static COPYING: Mutex<()> = Mutex::const_new(());
        let cluster = tokio::task::spawn_blocking(test_cluster).await.expect("cluster");
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let _copying = COPYING.lock().await;
        let mut admin = PgConnection::connect_with(&cluster.connect_options()).await.expect("connect");
        let sql = format!("CREATE DATABASE {name} {options}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.expect("create database");
        CREATED.with_borrow_mut(|created| created.0.push(name.clone()));
        Self { name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn options(&self) -> PgConnectOptions {
        test_cluster().connect_options().database(&self.name)
    }

    /// As `DATABASE_URL` wants it.
    pub fn url(&self) -> String {
        let options = self.options();
        let socket = options.get_socket().map(|path| path.display().to_string()).unwrap_or_default();
        format!(
            "postgres://{}@localhost/{}?host={socket}&port={}",
            options.get_username(),
            self.name,
            options.get_port()
        )
    }

    pub fn storage(&self) -> Storage {
        Storage::new(self.options(), 8)
    }
}
