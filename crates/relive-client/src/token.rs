//! Keys and access tokens: their source, and sending requests with them.

use std::fmt::{self, Display};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::sync::Mutex;

use super::ClientError;

type Ask = dyn Fn() -> BoxFuture<'static, Result<String, ClientError>> + Send + Sync;

/// Where a client gets its key or access token from. Cheap to clone.
///
/// It is called for every new connection, before the token in use expires, and after the server has refused it.
#[derive(Clone)]
pub struct TokenSource {
    ask: Arc<Ask>,
    is_fixed: bool,
}

impl TokenSource {
    /// A function that returns a valid token, such as from a program that issues them.
    pub fn new<F, T, E>(ask: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, E>> + Send + 'static,
        E: Display,
    {
        let ask = move || {
            let asked = ask();
            async move { asked.await.map_err(|error| ClientError::NoToken(error.to_string())) }.boxed()
        };
        Self { ask: Arc::new(ask), is_fixed: false }
    }

    /// A constant token, such as a key. Once it has expired, the client ends.
    #[must_use]
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self { ask: Arc::new(move || ready(Ok(token.clone())).boxed()), is_fixed: true }
    }
}

/// Does not show the token.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("is_fixed", &self.is_fixed).finish_non_exhaustive()
    }
}

/// Does not show the token.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.0.as_ref().map(|shared| &shared.source)).finish()
    }
}

/// The token of a client, shared by its connections and requests; none if it has no source.
#[derive(Clone, Default)]
pub(super) struct Tokens(Option<Arc<Shared>>);

struct Shared {
    source: TokenSource,
    /// The newest token. Locked while a new one is requested, so that there is one request at a time.
    held: Mutex<Option<String>>,
}

impl Tokens {
    pub(super) fn new(source: Option<TokenSource>) -> Self {
        Self(source.map(|source| Arc::new(Shared { source, held: Mutex::default() })))
    }

    /// Whether the source can return another token.
    pub(super) fn is_renewable(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| !shared.source.is_fixed)
    }

    /// A new token.
    pub(super) async fn ask(&self) -> Result<Option<String>, ClientError> {
        let Some(shared) = &self.0 else { return Ok(None) };
        let mut held = shared.held.lock().await;
        *held = Some((shared.source.ask)().await?);
        Ok(held.clone())
    }

    /// The current token, if there is one.
    async fn held(&self) -> Result<Option<String>, ClientError> {
        self.other_than(None).await
    }

    /// A token other than `refused`, unless the source returns the same again.
    async fn other_than(&self, refused: Option<&str>) -> Result<Option<String>, ClientError> {
        let Some(shared) = &self.0 else { return Ok(None) };
        let mut held = shared.held.lock().await;
        if held.is_none() || held.as_deref() == refused {
            *held = Some((shared.source.ask)().await?);
        }
        Ok(held.clone())
    }

    /// Sends a request with the token; if it is answered with 401, once more with a new one.
    pub(super) async fn send(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<reqwest::Result<Response>, ClientError> {
        let token = self.held().await?;
        let answer = authorized(request(), token.as_deref()).send().await;
        let is_refused = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED);
        if !is_refused || !self.is_renewable() {
            return Ok(answer);
        }
        let next = self.other_than(token.as_deref()).await?;
        if next == token { Ok(answer) } else { Ok(authorized(request(), next.as_deref()).send().await) }
    }
}

pub(super) fn authorized(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}
