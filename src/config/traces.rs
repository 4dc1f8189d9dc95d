//! Traces that the server exports.

use clap::Args;

use super::Secret;

/// Traces for OpenTelemetry. The variables are those of every program that exports traces.
#[derive(Args, Clone, Debug)]
pub struct TracesConfig {
    /// An endpoint that speaks OTLP over HTTP with protobuf, to which traces of commands and requests are sent, such as
    /// <http://127.0.0.1:4318>; `/v1/traces` is added. Without it, or the next one, none are made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true)]
    pub otlp_endpoint: Option<String>,

    /// The whole address for traces, if it is another one.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL", hide_env_values = true)]
    pub otlp_traces_endpoint: Option<String>,

    /// Headers of the requests to it, as name=value; several, separated by commas; values are percent-encoded. Better
    /// as an environment variable: other users of the machine can see arguments.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", value_name = "HEADERS", hide_env_values = true)]
    pub otlp_headers: Option<Secret>,

    /// The name of this server in traces. Default: `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, or `relive`.
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub otel_service_name: Option<String>,

    /// Which traces are recorded: `always_on`, `always_off` or `traceidratio`, or the same with `parentbased_` before
    /// them, which heed what a request says.
    #[arg(long, env = "OTEL_TRACES_SAMPLER", value_name = "SAMPLER", default_value = "parentbased_always_on",
          value_parser = sampler)]
    pub otel_traces_sampler: TracesSampler,

    /// The share of the traces that the sampler with a ratio records, from 0 to 1.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub otel_traces_sampler_arg: f64,

    /// Make no traces, whatever else is set.
    #[arg(long, env = "OTEL_SDK_DISABLED")]
    pub otel_sdk_disabled: bool,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_traces_endpoint: None,
            otlp_headers: None,
            otel_service_name: None,
            otel_traces_sampler: TracesSampler::default(),
            otel_traces_sampler_arg: 1.0,
            otel_sdk_disabled: false,
        }
    }
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TracesSampler {
    /// Whether the trace of a request is recorded as its `traceparent` says.
    pub is_parent_based: bool,
    /// Of all others.
    pub share: SampledShare,
}

/// How many traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampledShare {
    All,
    None,
    Ratio,
}

impl Default for TracesSampler {
    fn default() -> Self {
        Self { is_parent_based: true, share: SampledShare::All }
    }
}

impl TracesConfig {
    /// The address that traces are sent to; `None`: none are made. An empty variable counts as not set.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        let given =
            |url: &Option<String>| url.as_deref().map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned);
        if self.otel_sdk_disabled {
            return None;
        }
        let below = |base: String| format!("{}/v1/traces", base.trim_end_matches('/'));
        given(&self.otlp_traces_endpoint).or_else(|| given(&self.otlp_endpoint).map(below))
    }
}

/// By the names that all programs with OpenTelemetry know. An empty variable counts as not set.
fn sampler(text: &str) -> Result<TracesSampler, String> {
    let (is_parent_based, name) = match text.strip_prefix("parentbased_") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let share = match name {
        "" if !is_parent_based => return Ok(TracesSampler::default()),
        "always_on" => SampledShare::All,
        "always_off" => SampledShare::None,
        "traceidratio" => SampledShare::Ratio,
        _ => return Err("expected always_on, always_off or traceidratio, with or without parentbased_".to_owned()),
    };
    Ok(TracesSampler { is_parent_based, share })
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        _ if text.is_empty() => Ok(1.0),
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_one_for_traces_or_below_the_one_for_all() {
        let of = |all: Option<&str>, traces: Option<&str>, otel_sdk_disabled| {
            let text = |url: Option<&str>| url.map(str::to_owned);
            let config = TracesConfig {
                otlp_endpoint: text(all),
                otlp_traces_endpoint: text(traces),
                otel_sdk_disabled,
                ..TracesConfig::default()
            };
            config.endpoint()
        };
        assert_eq!(of(None, None, false), None);
        assert_eq!(of(Some(""), Some(" "), false), None);
        for base in ["http://c:4318", "http://c:4318/"] {
            assert_eq!(of(Some(base), None, false).as_deref(), Some("http://c:4318/v1/traces"));
        }
        assert_eq!(of(Some("http://c"), Some("http://d/x"), false).as_deref(), Some("http://d/x"));
        assert_eq!(of(Some("http://c"), Some("http://d/x"), true), None);
    }

    #[test]
    fn a_ratio_is_from_0_to_1() {
        assert_eq!((ratio("0"), ratio("0.25"), ratio("1")), (Ok(0.0), Ok(0.25), Ok(1.0)));
        assert_eq!(ratio(""), Ok(1.0));
        for text in ["-0.1", "1.1", "NaN", "all"] {
            assert!(ratio(text).is_err(), "{text}");
        }
    }

    #[test]
    fn samplers_have_the_names_of_all_programs() {
        for (name, is_parent_based, share) in [
            ("", true, SampledShare::All),
            ("parentbased_always_on", true, SampledShare::All),
            ("parentbased_always_off", true, SampledShare::None),
            ("parentbased_traceidratio", true, SampledShare::Ratio),
            ("always_on", false, SampledShare::All),
            ("always_off", false, SampledShare::None),
            ("traceidratio", false, SampledShare::Ratio),
        ] {
            assert_eq!(sampler(name), Ok(TracesSampler { is_parent_based, share }), "{name}");
        }
        for name in ["parentbased_", "jaeger_remote", "ALWAYS_ON", "parentbased_parentbased_always_on"] {
            assert!(sampler(name).is_err(), "{name}");
        }
    }
}
