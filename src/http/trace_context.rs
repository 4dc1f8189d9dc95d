//! The trace that a request says it belongs to: `traceparent` and `tracestate`.

use axum::http::HeaderMap;

use super::extract::single;
use relive_session::TraceContext;

/// Bytes of all `tracestate` headers that are read.
const STATE_BYTES: usize = 8 * 1024;

/// The trace of a request. What is malformed is ignored, as W3C Trace Context asks for: it never makes a request fail.
pub fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    // Two of them would be two traces.
    let parent = single(headers, "traceparent").ok()??.to_str().ok()?;
    TraceContext::parse(parent, trace_state(headers).as_deref())
}

/// Of several headers, the entries of all, in their order.
fn trace_state(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("tracestate").iter().peekable();
    values.peek()?;
    let mut state = String::new();
    for value in values {
        let value = value.to_str().ok()?;
        if state.len() + value.len() > STATE_BYTES {
            return None;
        }
        if !state.is_empty() {
            state.push(',');
        }
        state += value;
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(headers: &[(&'static str, &[u8])]) -> Option<(String, Option<String>)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("a value"));
        }
        let context = trace_context(&map)?;
        Some((context.parent.to_string(), context.state.map(|state| state.as_str().to_owned())))
    }

    #[test]
    fn several_states_are_one_and_several_parents_are_none() {
        let parent = ("traceparent", PARENT.as_bytes());
        let whole = |state: Option<&str>| Some((PARENT.to_owned(), state.map(str::to_owned)));
        assert_eq!(read(&[parent]), whole(None));
        assert_eq!(
            read(&[parent, ("tracestate", b"a=1"), ("tracestate", b" b=2,"), ("tracestate", b"")]),
            whole(Some("a=1,b=2"))
        );
        assert_eq!(read(&[parent, parent]), None);
        assert_eq!(read(&[("tracestate", b"a=1")]), None);
        assert_eq!(read(&[("traceparent", b"\xff")]), None);
        assert_eq!(read(&[parent, ("tracestate", b"a=\xff")]), whole(None));
        let long = format!("a={}", "x".repeat(9_000));
        assert_eq!(read(&[parent, ("tracestate", long.as_bytes())]), whole(None));
    }
}
