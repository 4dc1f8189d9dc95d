//! Settings of the archive.

use clap::Args;

/// The archive: where sessions are moved to that have ended.
#[derive(Args, Clone, Debug)]
pub struct ArchiveConfig {
    /// The archive: a directory, or `s3://bucket/prefix` with keys as the tools of AWS take them (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, or a file). All servers on a database need the same. None: nothing is
    /// archived.
    #[arg(long, env = "RELIVE_ARCHIVE", value_name = "PLACE")]
    pub archive: Option<String>,

    /// The address of an S3-compatible store, such as <https://minio.example.org:9000>. Default: that of Amazon.
    #[arg(long, env = "RELIVE_ARCHIVE_S3_ENDPOINT", value_name = "URL")]
    pub archive_s3_endpoint: Option<String>,

    /// Days for which rules of retention leave a session alone that came back from the archive.
    #[arg(long, env = "RELIVE_ARCHIVE_RESTORED_DAYS", default_value_t = RESTORED_DAYS, value_name = "DAYS",
          value_parser = days)]
    pub archive_restored_days: f64,
}

const RESTORED_DAYS: f64 = 7.0;

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self { archive: None, archive_s3_endpoint: None, archive_restored_days: RESTORED_DAYS }
    }
}

fn days(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(days) if (0.0..=36_500.0).contains(&days) => Ok(days),
        _ => Err("expected a number of days from 0 to 36500".to_owned()),
    }
}
