//! The HTTP API as it is, for programs that pass its answers on.

use reqwest::{Method, Url};
use serde_json::Value;

use super::error::problem;
use super::http::{client, refusal};
use super::token::{TokenSource, Tokens};
use super::{Address, ClientError};

/// Bytes of an answer.
const ANSWER_BYTES: usize = 16 << 20;

/// A server by its HTTP API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    address: Address,
    http: reqwest::Client,
    tokens: Tokens,
}

impl Api {
    /// A server by its address, such as `http://127.0.0.1:7400`.
    ///
    /// # Errors
    ///
    /// If it is not an address.
    pub fn new(server_url: &str) -> Result<Self, ClientError> {
        Ok(Self { address: Address::parse(server_url)?, http: client()?, tokens: Tokens::default() })
    }

    /// The same with a token, for a server that asks for one.
    #[must_use]
    pub fn with_token(self, source: Option<TokenSource>) -> Self {
        Self { tokens: Tokens::new(source), ..self }
    }

    /// Reads `/api/v1` and these segments, with these parameters.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the server's reason; `Unreachable`; `Protocol` for a segment that is empty, `.` or
    /// `..`.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, ClientError> {
        self.call(Method::GET, path, query, None).await
    }

    /// Posts a body to `/api/v1` and these segments.
    ///
    /// # Errors
    ///
    /// As [`Api::get`].
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, ClientError> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let url = self.url(path, query)?;
        let request = || {
            let request = self.http.request(method.clone(), url.clone());
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let unreachable = |error: reqwest::Error| ClientError::Unreachable {
            server: self.address.to_string(),
            problem: problem(&error.without_url()),
        };
        let mut answer = self.tokens.send(request).await?.map_err(unreachable)?;
        let (status, mut bytes) = (answer.status(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES {
                return Err(ClientError::Protocol(format!("an answer of more than {ANSWER_BYTES} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Protocol(error.to_string()))
    }

    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, ClientError> {
        let wrong = || ClientError::Protocol("the address cannot be extended".to_owned());
        // These would not be segments but make the address another one, even where they are encoded.
        if let Some(segment) = path.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
            return Err(ClientError::Protocol(format!("'{segment}' cannot be part of an address")));
        }
        let mut url = Url::parse(&self.address.http("/api/v1")).map_err(|_| wrong())?;
        url.path_segments_mut().map_err(|()| wrong())?.extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_an_address() {
        let api = Api::new("http://127.0.0.1:7400/relive").expect("an address");
        let url = api.url(&["sessions", "x", "nodes", "a/../b?c#d"], &[("text", "x&y=z".to_owned())]).expect("a URL");
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:7400/relive/api/v1/sessions/x/nodes/a%2F..%2Fb%3Fc%23d?text=x%26y%3Dz"
        );
    }
}
