//! Settings of the log.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The log, on standard error.
#[derive(Args, Clone, Debug)]
pub struct LogConfig {
    /// What to log: a level (off, error, warn, info, debug, trace), or one for each part of the program,
    /// such as <warn,relive=debug>.
    #[arg(id = "log_filter", long = "log", env = "RELIVE_LOG", default_value = "info", value_name = "FILTER",
          value_parser = filter)]
    pub filter: String,

    /// Lines for people, or a JSON object on each line.
    #[arg(
        long = "log-format",
        env = "RELIVE_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        id = "log_format"
    )]
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// A single word that is no level would be taken for a part of the program, and disable all others.
fn filter(text: &str) -> Result<String, String> {
    for directive in text.split(',').map(str::trim) {
        let is_level = directive.parse::<LevelFilter>().is_ok();
        let is_part = directive.contains(['=', '[', ':']) || directive.starts_with("relive");
        if !directive.is_empty() && !is_level && !is_part {
            return Err(format!(
                "`{}` is not a level (off, error, warn, info, debug, trace); for one part of the program, \
                 write for instance warn,relive=debug",
                directive.escape_debug()
            ));
        }
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn what_would_silence_the_log_by_mistake_is_refused() {
        for good in ["info", "WARN", "off", "relive=debug", "relive", "warn,relive::x=trace", "info,sqlx=off", "2"] {
            assert_eq!(filter(good).as_deref(), Ok(good));
        }
        for wrong in ["loud", "verbose", "information", "warn,loud", "relive=loud", "yes", "true", "warning"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
