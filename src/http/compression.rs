//! Compression of answers: of JSON alone, with gzip, if the client accepts it.
//!
//! Event streams and exports are sent piece by piece, and a compressor would hold pieces back. The dashboard's
//! files are stored compressed, and fonts and archives gain nothing.
//!
//! An `ETag` names a revision and is sent back in `If-Match`, so it is the same for both encodings; `Vary` keeps
//! caches from mixing them up.

use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, StatusCode, Version};
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
