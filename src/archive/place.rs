//! Where the files of the archive are: a directory, or a bucket of an S3-compatible store.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use tokio::io::AsyncWriteExt as _;

use super::credentials::{self, BucketKeysError};

/// A file up to this size is sent at once, a larger one in parts of it.
const PART: usize = 8 * 1024 * 1024;
/// Parts that are sent at a time.
const PARTS: usize = 2;
const CONNECT: Duration = Duration::from_secs(5);
/// For a request to a bucket as a whole.
const REQUEST: Duration = Duration::from_mins(5);
/// How often, and how long, a request that failed is sent again.
const RETRIES: usize = 4;
const RETRYING: Duration = Duration::from_secs(20);

/// The settings of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOptions {
    /// A directory, or `s3://bucket/prefix`.
    pub address: String,
    /// The address of an S3-compatible store; without it, that of Amazon.
    pub s3_endpoint: Option<String>,
}

impl PlaceOptions {
    /// Checks what can be without making or reaching anything.
    ///
    /// # Errors
    ///
    /// If the address makes no sense, or the keys of a bucket cannot be read.
    pub fn check(&self) -> Result<(), PlaceError> {
        match self.address.split_once("://") {
            None if !self.address.is_empty() => Ok(()),
            Some(("s3", rest)) => ArchivePlace::open_bucket(self, rest).map(drop),
            _ => Err(PlaceError::Address(self.address.clone())),
        }
    }
}

/// Why the archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("RELIVE_ARCHIVE is `{0}`; expected a directory, or s3://bucket/prefix")]
    Address(String),
    #[error("the directory of the archive, {}, cannot be used: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("the archive cannot be used: {0}")]
    Settings(#[source] object_store::Error),
    #[error(transparent)]
    Credentials(#[from] BucketKeysError),
}

/// The place. Cheap to clone.
#[derive(Clone)]
pub(super) struct ArchivePlace {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    directory: Option<PathBuf>,
}

impl fmt::Debug for ArchivePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchivePlace")
            .field("directory", &self.directory)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl ArchivePlace {
    /// Opens it; a directory is made if it is missing, and tried.
    pub fn open(options: &PlaceOptions) -> Result<Self, PlaceError> {
        match options.address.split_once("://") {
            None if !options.address.is_empty() => Self::open_directory(FilePath::new(&options.address)),
            Some(("s3", rest)) => Self::open_bucket(options, rest),
            _ => Err(PlaceError::Address(options.address.clone())),
        }
    }

    fn open_directory(path: &FilePath) -> Result<Self, PlaceError> {
        let wrong = |source| PlaceError::Directory { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(wrong)?;
        // Whether it can be written to is known at the start, and not when the first session is due.
        tempfile::tempfile_in(path).map_err(wrong)?;
        let path = path.canonicalize().map_err(wrong)?;
        let store = LocalFileSystem::new_with_prefix(&path).map_err(PlaceError::Settings)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: String::new(), directory: Some(path) })
    }

    fn open_bucket(options: &PlaceOptions, rest: &str) -> Result<Self, PlaceError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(PlaceError::Address(options.address.clone()));
        }
        let client = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(REQUEST);
        let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRYING };
        let mut builder = AmazonS3Builder::from_env().with_client_options(client).with_retry(retry);
        if let Some(keys) = credentials::of_file()? {
            builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
            if let Some(token) = keys.token {
                builder = builder.with_token(token);
            }
        }
        // Not every compatible store can delete several at once.
        builder = builder.with_bucket_name(bucket).with_disable_bulk_delete(true);
        if let Some(endpoint) = &options.s3_endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(PlaceError::Settings)?;
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { store: Arc::new(store), prefix, directory: None })
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    /// Begins a file. It is there under its name only once it is [finished](Upload::finish): a directory has it under
    /// another name until then, a bucket not at all.
    pub fn begin(&self, name: &str) -> Upload {
        let writer = BufWriter::with_capacity(Arc::clone(&self.store), self.path(name), PART);
        Upload(writer.with_max_concurrency(PARTS))
    }

    /// A file's size, and what is in it.
    pub async fn read(
        &self,
        name: &str,
    ) -> object_store::Result<(u64, BoxStream<'static, object_store::Result<Bytes>>)> {
        let found = self.store.get(&self.path(name)).await?;
        Ok((found.meta.size, found.into_stream().boxed()))
    }

    /// Removes a file, and what a crash has left of an attempt to write it. It is no error if it is not there.
    pub async fn remove(&self, name: &str) -> object_store::Result<()> {
        if let Some(directory) = &self.directory {
            // As it is called while it is written. Names of files are used once, so there is one at most.
            let _ = tokio::fs::remove_file(directory.join(format!("{name}#1"))).await;
        }
        match self.store.delete(&self.path(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            outcome => outcome,
        }
    }
}

/// A file that is being written.
pub(super) struct Upload(BufWriter);

impl Upload {
    pub async fn add(&mut self, bytes: Vec<u8>) -> object_store::Result<()> {
        if bytes.is_empty() { Ok(()) } else { self.0.put(bytes.into()).await }
    }

    /// Makes it durable, and gives it its name.
    pub async fn finish(mut self) -> std::io::Result<()> {
        self.0.shutdown().await
    }

    /// Removes what was sent of it.
    pub async fn abort(mut self) {
        // What cannot be removed now has no name; docs/archive.md says how a bucket clears such parts up.
        let _ = self.0.abort().await;
    }
}
