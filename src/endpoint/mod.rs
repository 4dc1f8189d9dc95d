//! The common part of clients of endpoints: address, key, errors, and texts from outside.

mod public;
mod secrets;
mod words;

use std::error::Error;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Url};

pub use public::{NotPublic, PublicOnly};
use relive_session::TraceContext;
pub use secrets::{Secrets, Sieve, in_header, in_url, names_a_secret, shown_header, shown_url};
pub use words::{clean, in_body, in_json};

/// The longest pause that an endpoint can ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// An address below the base one, which ends in `/v1`; `None` unless it is an http or https address.
#[must_use]
pub fn address(base: &str, segments: &[&str]) -> Option<Url> {
    let mut url = Url::parse(base.trim()).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
    Some(url)
}

/// The headers of every request: the key as a bearer token, which is never printed.
///
/// # Errors
///
/// If the key contains characters that no header can carry.
pub fn headers(api_key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    if let Some(key) = api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Tells the receiver of a request which trace it belongs to.
pub fn traced(request: RequestBuilder, trace: Option<&TraceContext>) -> RequestBuilder {
    let Some(TraceContext { parent, state }) = trace else { return request };
    let request = request.header("traceparent", parent.to_string());
    match state {
        Some(state) => request.header("tracestate", state.as_str()),
        None => request,
    }
}

/// Why a request failed: the innermost cause, without the address.
#[must_use]
pub fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut innermost: &dyn Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The pause that an endpoint asks for: `retry-after-ms`, or `Retry-After` in seconds or as a date.
/// At most an hour.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let milliseconds = text("retry-after-ms").and_then(number).map(|number| number / 1000.0);
    let seconds = milliseconds.or_else(|| {
        let after = text(RETRY_AFTER.as_str())?;
        number(after).or_else(|| {
            let date = chrono::DateTime::parse_from_rfc2822(after).ok()?;
            Some((date.to_utc() - chrono::Utc::now()).as_seconds_f64())
        })
    });
    let seconds = seconds?.clamp(0.0, LONGEST_PAUSE.as_secs_f64());
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_in_milliseconds_or_until_a_date() {
        let after = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a value"));
            retry_after(&headers).map(|pause| pause.as_secs_f64())
        };
        for (value, expected) in [
            ("7", Some(7.0)),
            (" 1.5 ", Some(1.5)),
            ("-3", Some(0.0)),
            ("1e300", Some(3600.0)),
            ("NaN", None),
            ("soon", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0.0)),
        ] {
            assert_eq!(after("retry-after", value), expected, "{value}");
        }
        assert_eq!(after("retry-after-ms", "250"), Some(0.25));
        let soon = (chrono::Utc::now() + Duration::from_secs(20)).to_rfc2822();
        assert!(after("retry-after", &soon).is_some_and(|pause| (15.0..=20.0).contains(&pause)));
    }
}
