//! Which query parameters an address accepts: those in the OpenAPI document.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

use super::error::ApiError;
use relive_protocol::nearest;

/// The parameters of every address and method.
#[derive(Clone, Debug)]
pub struct KnownParameters(Arc<HashMap<(String, &'static str), Vec<String>>>);

impl KnownParameters {
    pub fn of(document: &OpenApi) -> Self {
        let mut known = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                known.insert((path.clone(), method), query_parameters(operation));
            }
        }
        Self(Arc::new(known))
    }

    /// What is wrong with a request's query string, if anything.
    fn problem(&self, request: &Request) -> Option<String> {
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        // Pages and probes are excluded: other programs add parameters to their addresses.
        if !(path.starts_with("/api/") || path.starts_with("/ws")) {
            return None;
        }
        let known = self.0.get(&(path.to_owned(), method(request.method().as_str())?))?;
        let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
        let (unknown, _) = given.iter().find(|(name, _)| !known.contains(name) && !is_entry(name, known))?;
        let shown: String = unknown.chars().take(80).flat_map(char::escape_debug).collect();
        let known = known.iter().map(String::as_str);
        Some(match nearest(unknown, known.clone()) {
            Some(nearest) => format!("{shown}: unknown query parameter; did you mean {nearest}?"),
            None if known.len() == 0 => format!("{shown}: unknown query parameter; this address takes none"),
            None => format!("{shown}: unknown query parameter; known are {}", known.collect::<Vec<_>>().join(", ")),
        })
    }
}

/// The key of a parameter `metadata.KEY` or `metadata[KEY]`.
pub fn metadata_key(parameter: &str) -> Option<&str> {
    let rest = parameter.strip_prefix("metadata")?;
    let key = rest.strip_prefix('.').or_else(|| rest.strip_prefix('[')?.strip_suffix(']'))?;
    (!key.is_empty()).then_some(key)
}

/// Whether it is an entry of a parameter with arbitrary keys.
fn is_entry(name: &str, known: &[String]) -> bool {
    metadata_key(name).is_some() && known.iter().any(|known| known == "metadata")
}

/// Noted on requests for sockets, which are refused over the socket: browsers do not show the answer to a
/// refused handshake.
#[derive(Clone, Debug)]
pub struct UnknownParameter(pub String);

/// Refuses requests with unknown parameters.
pub async fn check(State(known): State<KnownParameters>, mut request: Request, next: Next) -> Response {
    if let Some(problem) = known.problem(&request) {
        if !request.uri().path().starts_with("/ws") {
            return ApiError::bad_request(problem).into_response();
        }
        request.extensions_mut().insert(UnknownParameter(problem));
    }
    next.run(request).await
}

fn method(name: &str) -> Option<&'static str> {
    ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|known| *known == name)
}

pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let all = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn query_parameters(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    let name = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        _ => None,
    };
    parameters.filter_map(name).collect()
}
