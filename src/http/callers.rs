//! Who makes a request, and whether they may: found once, before anything else is done for it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{COOKIE, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::client_address::ClientAddress;
use super::cross_site::{BEARER_PROTOCOL, SESSION_COOKIE};
use super::error::ApiError;
use super::extract::single;
use super::observe::{RequestId, without_secrets};
use super::permissions::{Need, Operation, Permissions};
use super::state::App;
use super::validity;
use crate::access::limits::Limited;
use crate::access::{Access, AuditSlot, AuditedAction, AuthError, Caller, Credential, IssueError, Outcome};
use crate::scoped::Refused;
use crate::ws::{ClientIp, SocketKind, upgrade};
use relive_protocol::{CloseCode, ErrorCode};
use relive_session::{NotAProjectId, ProjectId};

/// Root's choice of a project.
const PROJECT_HEADER: &str = "Relive-Project";
/// Session cookies of a request at most.
const COOKIES: usize = 4;

/// What the middleware needs.
#[derive(Clone)]
pub struct Gate {
    pub app: App,
    pub permissions: Permissions,
}

/// A credential in a request.
enum Given {
    Bearer(String),
    /// Each is another one. A browser sends several if they were set for different paths or domains: by servers at
    /// several paths of one host, or to deceive this one.
    Cookies(Vec<String>),
}

impl Given {
    fn credentials(&self) -> Vec<Credential<'_>> {
        match self {
            Self::Bearer(text) => vec![Credential::Bearer(text)],
            Self::Cookies(texts) => texts.iter().map(|text| Credential::Cookie(text)).collect(),
        }
    }
}

/// Refuses those who may not make a request, and notes who makes it.
pub async fn identify(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Some(operation) = operation_of(&gate.permissions, &request) else { return next.run(request).await };
    let operation = match operation {
        Ok(operation) => operation,
        Err(error) => return error.into_response(),
    };
    let access = gate.app.access.clone();
    if access.is_required() {
        gate.app.hub.name_engine();
    }
    let asked = Asked::of(&operation, &request);
    let presented = Presented::of(request.headers());
    let found = match presented {
        Ok(presented) => find(&access, &operation, presented, asked.ip).await,
        Err(refusal) => Err(refusal),
    };
    let caller = match found {
        Ok(caller) => caller,
        Err(refusal) => {
            if refusal.is_recorded() {
                access.audit().refused(asked.entry(refusal.caller.as_deref(), Outcome::Refused));
            }
            return refuse(&gate.app, request, refusal);
        }
    };
    let slot = if operation.is_audited { access.audit().reserve().map(Some) } else { Ok(None) };
    let Ok(slot) = slot else {
        return ApiError::new(ErrorCode::Unavailable, "the audit log cannot be written now").into_response();
    };
    request.extensions_mut().insert(Arc::clone(&caller));
    request.extensions_mut().insert(ClientIp(asked.ip));
    let response = validity::run(&access, &caller, request, next).await;
    record(&access, slot, &asked, &caller, &response);
    response
}

/// What is recorded of a request.
struct Asked {
    action: &'static str,
    resource: String,
    ip: Option<IpAddr>,
    request_id: Option<String>,
}

impl Asked {
    fn of(operation: &Operation, request: &Request) -> Self {
        Self {
            action: operation.id,
            // Without the query, which may be long, and which no secret belongs into either.
            resource: without_secrets(request.uri().path()),
            ip: request.extensions().get::<ClientAddress>().map(|client| client.ip),
            request_id: request.extensions().get::<RequestId>().map(|id| id.0.to_string()),
        }
    }

    fn entry(&self, caller: Option<&Caller>, outcome: Outcome) -> AuditedAction {
        let entry = match caller {
            Some(caller) => AuditedAction::of(caller, self.action, self.resource.clone(), outcome),
            None => AuditedAction::unknown(self.action, self.resource.clone()),
        };
        entry.from(self.ip, self.request_id.clone())
    }
}

fn record(access: &Access, slot: Option<AuditSlot>, asked: &Asked, caller: &Caller, response: &Response) {
    let status = response.status();
    if matches!(status.as_u16(), 401 | 403) {
        return access.audit().refused(asked.entry(Some(caller), Outcome::Refused));
    }
    let Some(slot) = slot else { return };
    let outcome = if status.is_success() { Outcome::Allowed } else { Outcome::Failed };
    slot.record(asked.entry(Some(caller), outcome));
}

/// The operation of a request. `None`: there is nothing at the address, or it does not support the method.
fn operation_of(permissions: &Permissions, request: &Request) -> Option<Result<Operation, ApiError>> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let method = match *request.method() {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => return None,
    };
    // A method that the address does not support is answered as one.
    Some(Ok(permissions.find(path, method)?))
}

/// Why nothing is done for a request.
struct Refusal {
    error: Box<ApiError>,
    close: CloseCode,
    caller: Option<Box<Caller>>,
}

impl Refusal {
    fn new(error: impl Into<ApiError>, close: CloseCode, caller: Option<Caller>) -> Self {
        Self { error: Box::new(error.into()), close, caller: caller.map(Box::new) }
    }

    /// Not those that say something of the server rather than of the request.
    fn is_recorded(&self) -> bool {
        matches!(self.error.code(), ErrorCode::Unauthorized | ErrorCode::Forbidden | ErrorCode::RateLimited)
    }
}

/// What a request says of who makes it.
struct Presented {
    given: Option<Given>,
    /// The project that root names; `Err`: a text that is none.
    project: Option<Result<ProjectId, NotAProjectId>>,
}

impl Presented {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let malformed = |problem| Refusal::new(ApiError::bad_request(problem), CloseCode::NotThisProtocol, None);
        let given = credential(headers).map_err(malformed)?;
        let project = single(headers, PROJECT_HEADER).map_err(malformed)?;
        let project = project.map(|named| named.to_str().unwrap_or_default().parse());
        Ok(Self { given, project })
    }
}

async fn find(
    access: &Access,
    operation: &Operation,
    Presented { given, project }: Presented,
    ip: Option<IpAddr>,
) -> Result<Arc<Caller>, Refusal> {
    if let (Some(Given::Bearer(token)), "metrics") = (&given, operation.id)
        && access.is_metrics_token(token)
    {
        return Ok(Arc::new(Caller::anonymous(ProjectId::default())));
    }
    let identified = match &given {
        Some(given) => access.identify_by_any(&given.credentials(), ip).await,
        None => access.identify(None, ip).await,
    };
    let caller = match identified {
        Ok(caller) => caller,
        // Whoever needs no credential is not refused for a wrong one, such as the cookie of an old sign-in.
        Err(_) if operation.need == Need::Nothing => Caller::anonymous(ProjectId::default()),
        // Nor for a cookie that a browser still has from a time when the server had accounts.
        Err(_) if matches!(given, Some(Given::Cookies(_))) && !access.is_required() => {
            Caller::anonymous(ProjectId::default())
        }
        Err(error) => {
            let close = close_code(&error);
            return Err(Refusal::new(error, close, None));
        }
    };
    let caller = in_project(access, caller, project).await?;
    if let Err(limited) = access.limits().request(&caller, ip) {
        return Err(Refusal::new(limited, CloseCode::RateLimited, Some(caller)));
    }
    if let Err(denied) = operation.need.check(&caller) {
        return Err(Refusal::new(Refused::from(denied), CloseCode::Forbidden, Some(caller)));
    }
    Ok(Arc::new(caller))
}

/// The caller in the project that root names.
async fn in_project(
    access: &Access,
    caller: Caller,
    named: Option<Result<ProjectId, NotAProjectId>>,
) -> Result<Caller, Refusal> {
    let no_project = |caller| Refusal::new(ApiError::not_found("project"), CloseCode::Forbidden, Some(caller));
    let project = match named {
        None => return Ok(caller),
        Some(Err(_)) => return Err(no_project(caller)),
        Some(Ok(project)) => project,
    };
    match access.in_project(caller.clone(), project).await {
        Ok(Some(caller)) => Ok(caller),
        Ok(None) => Err(no_project(caller)),
        Err(error) => Err(Refusal::new(error, CloseCode::Forbidden, Some(caller))),
    }
}

fn close_code(error: &AuthError) -> CloseCode {
    match error {
        AuthError::Missing
        | AuthError::Invalid
        | AuthError::Ambiguous
        | AuthError::NoRole(_)
        | AuthError::NoProject(_) => CloseCode::BadToken,
        AuthError::Expired => CloseCode::TokenExpired,
        AuthError::Limited { .. } => CloseCode::RateLimited,
        AuthError::Unavailable(_) | AuthError::Storage(_) => CloseCode::Restarting,
    }
}

/// A browser does not show the answer to a refused handshake: sockets are told over the socket.
fn refuse(app: &App, request: Request, refusal: Refusal) -> Response {
    let is_socket = request.uri().path().starts_with("/ws") && request.headers().contains_key(UPGRADE);
    if !is_socket {
        return refusal.error.into_response();
    }
    let nobody = app.scoped(Arc::new(Caller::nobody()), None);
    let opening = SocketKind::Refused(refusal.close, refusal.error.detail().to_owned());
    upgrade(&app.gateway, &nobody, request, opening).unwrap_or_else(|error| ApiError::from(error).into_response())
}

/// The credential that a request comes with: the header, or on a WebSocket the subprotocol, before the cookie.
fn credential(headers: &HeaderMap) -> Result<Option<Given>, String> {
    if let Some(value) = single(headers, "Authorization")? {
        let text = value.to_str().map_err(|_| "the Authorization header is not text")?;
        if let Some((scheme, token)) = text.split_once(' ')
            && scheme.eq_ignore_ascii_case("bearer")
        {
            return Ok(Some(Given::Bearer(token.trim().to_owned())));
        }
        // Of another scheme: of a proxy in between, perhaps.
    }
    if let Some(token) = protocol_token(headers)? {
        return Ok(Some(Given::Bearer(token)));
    }
    session_cookies(headers)
}

fn protocol_token(headers: &HeaderMap) -> Result<Option<String>, String> {
    const INVALID: &str = "the token in Sec-WebSocket-Protocol is not base64url";
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut encoded =
        offered.flat_map(|value| value.split(',')).filter_map(|one| one.trim().strip_prefix(BEARER_PROTOCOL));
    let first = encoded.next();
    if encoded.next().is_some() {
        return Err("the request has two tokens in Sec-WebSocket-Protocol".to_owned());
    }
    let Some(encoded) = first else { return Ok(None) };
    let token = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|_| INVALID.to_owned())?;
    String::from_utf8(token).map(Some).map_err(|_| INVALID.to_owned())
}

/// The values of the dashboard's cookie.
fn session_cookies(headers: &HeaderMap) -> Result<Option<Given>, String> {
    let mut values: Vec<String> = Vec::new();
    for value in named_cookies(headers, SESSION_COOKIE) {
        if values.iter().any(|known| known == value) {
            continue;
        }
        if values.len() == COOKIES {
            return Err(format!("the request has more than {COOKIES} cookies {SESSION_COOKIE}"));
        }
        values.push(value.to_owned());
    }
    Ok((!values.is_empty()).then_some(Given::Cookies(values)))
}

/// The values of all cookies of a name, in the order in which they were sent.
pub(super) fn named_cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(found, _)| *found == name).map(|(_, value)| value)
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let code = match &error {
            AuthError::Missing | AuthError::Invalid | AuthError::Expired | AuthError::Ambiguous => {
                ErrorCode::Unauthorized
            }
            AuthError::NoRole(_) | AuthError::NoProject(_) => ErrorCode::Forbidden,
            AuthError::Limited { retry_after } => {
                return Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(retry_after.as_secs() + 1);
            }
            AuthError::Unavailable(_) => ErrorCode::Unavailable,
            AuthError::Storage(_) => {
                return match error {
                    AuthError::Storage(error) => error.into(),
                    _ => Self::new(ErrorCode::Unavailable, "the database cannot be asked now"),
                };
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Denied(denied) => Refused::from(denied).into(),
            IssueError::TooLong => Self::bad_request(error.to_string()),
            IssueError::Auth(error) => error.into(),
        }
    }
}

impl From<Limited> for ApiError {
    fn from(limited: Limited) -> Self {
        let seconds = limited.retry_after_seconds();
        Self::new(ErrorCode::RateLimited, limited.to_string()).retry_after(seconds)
    }
}
