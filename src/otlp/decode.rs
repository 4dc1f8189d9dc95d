//! The bodies of OTLP/HTTP.

use std::io::Read as _;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use serde_json::json;

use super::lenient_json::normalized;
use super::rejected::Rejected;

/// Bytes of a request at most, before and after decompression.
pub const LIMIT: usize = 16 * 1024 * 1024;

/// How a request, and its answer, are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// Spans as they were sent.
#[derive(Clone, Debug, Default)]
pub struct Export(pub(super) ExportTraceServiceRequest);

/// Why a body is not an export of traces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the body is larger than {LIMIT} bytes, which holds before and after decompression")]
    TooLarge,
    #[error("the body is not compressed by gzip: {0}")]
    Gzip(String),
    #[error("the body is not an ExportTraceServiceRequest: {0}")]
    Body(String),
}

impl Encoding {
    /// By a content type, its parameters ignored.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next()?.trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// Reads a body, which may be compressed by gzip. It takes up to some tenths of a second of CPU.
    ///
    /// # Errors
    ///
    /// The [`DecodeError`]; repeating the request leads to the same.
    pub fn decode(self, body: &[u8], is_gzip: bool) -> Result<Export, DecodeError> {
        let inflated;
        let body = if is_gzip {
            inflated = inflate(body)?;
            inflated.as_slice()
        } else {
            body
        };
        let request = match self {
            Self::Protobuf => {
                ExportTraceServiceRequest::decode(body).map_err(|error| DecodeError::Body(error.to_string()))
            }
            // A list would be read as the members in their order.
            Self::Json if !body.trim_ascii_start().starts_with(b"{") => {
                Err(DecodeError::Body("expected a JSON object".to_owned()))
            }
            Self::Json => read_json(body),
        };
        request.map(Export)
    }

    /// The answer to a request, some of whose spans may have been rejected.
    #[must_use]
    pub fn answer(self, rejected: Option<Rejected>) -> Vec<u8> {
        match (self, rejected) {
            (Self::Protobuf, rejected) => {
                let partial_success = rejected.map(|Rejected { spans, reason }| ExportTracePartialSuccess {
                    rejected_spans: i64::try_from(spans).unwrap_or(i64::MAX),
                    error_message: reason,
                });
                ExportTraceServiceResponse { partial_success }.encode_to_vec()
            }
            (Self::Json, None) => b"{}".to_vec(),
            // Numbers of 64 bits are texts in the JSON of protobuf.
            (Self::Json, Some(Rejected { spans, reason })) => {
                let partial = json!({"rejectedSpans": spans.to_string(), "errorMessage": reason});
                json!({"partialSuccess": partial}).to_string().into_bytes()
            }
        }
    }
}

/// What is as it should be is read without a detour.
fn read_json(body: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    serde_json::from_slice(body).or_else(|error| {
        let normalized = normalized(body).and_then(|value| serde_json::from_value(value).ok());
        normalized.ok_or_else(|| DecodeError::Body(error.to_string()))
    })
}

fn inflate(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut inflated = Vec::new();
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    let mut reader = flate2::read::MultiGzDecoder::new(body).take(limit + 1);
    reader.read_to_end(&mut inflated).map_err(|error| DecodeError::Gzip(error.to_string()))?;
    if inflated.len() > LIMIT { Err(DecodeError::TooLarge) } else { Ok(inflated) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).expect("compressed");
        writer.finish().expect("compressed")
    }

    #[test]
    fn what_grows_beyond_the_limit_is_refused_without_being_held() {
        let bomb = gzip(&vec![b' '; LIMIT + 1]);
        assert!(bomb.len() < LIMIT / 100);
        assert_eq!(Encoding::Json.decode(&bomb, true).err(), Some(DecodeError::TooLarge));
        let most = gzip(&[b"{}".as_slice(), &vec![b' '; LIMIT - 2]].concat());
        assert!(Encoding::Json.decode(&most, true).is_ok());
        assert!(matches!(Encoding::Json.decode(b"{}", true), Err(DecodeError::Gzip(_))));
    }

    #[test]
    fn content_types_may_have_parameters() {
        assert_eq!(Encoding::of("application/json; charset=utf-8"), Some(Encoding::Json));
        assert_eq!(Encoding::of("Application/X-Protobuf"), Some(Encoding::Protobuf));
        assert_eq!(Encoding::of("text/plain"), None);
        assert_eq!(Encoding::Json.answer(None), b"{}");
        assert!(Encoding::Protobuf.answer(None).is_empty());
    }

    #[test]
    fn what_exporters_write_otherwise_is_read_as_what_it_means() {
        let export = |span: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
        let usual = export(
            r#"{"name":"a","kind":3,"flags":1,"status":{"code":2},
                "attributes":[{"key":"n","value":{"stringValue":"NaN"}},{"key":"d","value":{"doubleValue":1.5}},{"key":"e"}]}"#,
        );
        let unusual = export(
            r#"{"name":"a","kind":"SPAN_KIND_CLIENT","flags":"1","status":{"code":"STATUS_CODE_ERROR","message":null},
                "parentSpanId":null,"events":null,"attributes":[{"key":"n","value":{"doubleValue":"NaN"}},
                {"key":"d","value":{"doubleValue":"1.5"}},{"key":"e","value":null}]}"#,
        );
        let spans = |body: &str| Encoding::Json.decode(body.as_bytes(), false).expect(body).0;
        assert_eq!(spans(&unusual), spans(&usual));
        // A kind that nobody knows is not a number by chance.
        let unknown = export(r#"{"name":"a","kind":"SPAN_KIND_ODD"}"#);
        assert!(matches!(Encoding::Json.decode(unknown.as_bytes(), false), Err(DecodeError::Body(_))));
    }

    #[test]
    fn hostile_bodies_are_refused() {
        let value = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(5_000), "]}}".repeat(5_000));
        let nested =
            format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"k","value":{value}}}]}}}}]}}"#);
        for body in [nested.as_bytes(), b"[]", b"", b"{\"resourceSpans\":7}", &[0xff; 64]] {
            let decoded = Encoding::Json.decode(body, false);
            assert!(matches!(decoded, Err(DecodeError::Body(_))), "{:?}", String::from_utf8_lossy(body));
        }
        // Groups within groups, lengths beyond the end, a varint without an end.
        for body in [[0x0a; 4_096].as_slice(), &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff; 16], &[0x0b; 4_096]] {
            assert!(matches!(Encoding::Protobuf.decode(body, false), Err(DecodeError::Body(_))), "{body:?}");
        }
    }
}
