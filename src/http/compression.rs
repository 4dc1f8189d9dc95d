//! Compression of answers: of JSON alone, with gzip, if the client accepts it.
//!
//! Event streams and exports are sent piece by piece, and a compressor would hold pieces back. The dashboard's
//! files are stored compressed, and fonts and archives gain nothing.
//!
//! An `ETag` names a revision and is sent back in `If-Match`, so it is the same for both encodings; `Vary` keeps
//! caches from mixing them up.

use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate as _, SizeAbove};

/// Bytes below which compression saves no packet.
const LEAST_BYTES: u64 = 1024;

type IsJson = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// The fastest level: JSON shrinks to about an eighth with it, and to about a tenth with the usual level at
/// several times the CPU.
pub fn layer() -> CompressionLayer<And<SizeAbove, IsJson>> {
    let is_json: IsJson = |_, _, headers, _| {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        content_type.split(';').next().is_some_and(|media_type| media_type.trim() == "application/json")
    };
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(LEAST_BYTES).and(is_json))
}

/// Takes the refusal of an answer as it is (`identity;q=0`, `*;q=0`) out of `Accept-Encoding`. A request would be
/// carried out, and its answer replaced by a 406.
pub fn accept_identity(mut request: Request) -> Request {
    let values: Vec<&str> =
        request.headers().get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let codings: Vec<&str> = values.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    if codings.iter().copied().any(refuses_identity) {
        let others: Vec<&str> = codings.into_iter().filter(|coding| !refuses_identity(coding)).collect();
        match HeaderValue::from_str(&others.join(", ")) {
            Ok(others) => request.headers_mut().insert(ACCEPT_ENCODING, others),
            Err(_) => request.headers_mut().remove(ACCEPT_ENCODING),
        };
    }
    request
}

/// Whether a coding with its weight excludes the answer as it is.
fn refuses_identity(coding: &str) -> bool {
    let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
    let is_meant = matches!(name.trim().to_ascii_lowercase().as_str(), "identity" | "*");
    let weight = parameters.trim().strip_prefix(['q', 'Q']).and_then(|weight| weight.trim_start().strip_prefix('='));
    is_meant && weight.is_some_and(|weight| weight.trim().parse().is_ok_and(|weight: f32| weight == 0.0))
}
