//! Who one is, and signing in and out of the dashboard.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::oidc::{ProviderAnswer, SignInError};
use crate::access::{Caller, CredentialId, Grant, SignedIn};
use crate::http::callers::named_cookies;
use crate::http::client_address::ClientAddress;
use crate::http::cross_site::{SESSION_COOKIE, host_name};
use crate::http::error::ApiError;
use crate::http::extract::Query;
use crate::http::ingress::PublicBase;
use crate::http::state::{Api, App};
use relive_protocol::{ErrorCode, Problem, SignInOptions, WhoAmI};
use relive_session::Timestamp;

/// The cookie of a sign-in that was begun with the identity provider.
const PENDING: &str = "relive_sign_in";
/// Where the provider sends the browser back to.
const FINISH: &str = "/auth/callback";

/// Who makes this request, and what they may do.
#[utoipa::path(get, path = "/me", operation_id = "who_am_i", tag = "access",
    responses((status = 200, description = "The caller", body = WhoAmI)))]
pub async fn who_am_i(api: Api) -> Json<WhoAmI> {
    Json(shown(&api, api.caller()))
}

fn shown(api: &Api, caller: &Caller) -> WhoAmI {
    let (role, scopes) = match &caller.grant {
        Grant::Anonymous => (None, None),
        Grant::Role(role) => (Some(role.to_string()), None),
        Grant::Scopes(scopes) => (None, Some(scopes.iter().map(ToString::to_string).collect())),
    };
    WhoAmI {
        required: api.services.access.is_required(),
        project: caller.project.clone(),
        actor: caller.actor.as_deref().cloned(),
        role,
        scopes,
        expires_at: caller.expires_at,
        signed_in: matches!(caller.credential, CredentialId::SignIn { .. }),
    }
}

/// How one can sign in, for pages that nobody has signed in to yet.
#[utoipa::path(get, path = "/sign-in", operation_id = "sign_in_options", tag = "access",
    responses((status = 200, description = "What there is", body = SignInOptions)))]
pub async fn options(State(app): State<App>) -> Json<SignInOptions> {
    Json(SignInOptions { provider: app.access.has_provider() })
}

/// Exchange a key or an access token, sent as `Authorization: Bearer`, for the dashboard's cookie. It ends with the
/// key or the token.
#[utoipa::path(post, path = "/sign-in", operation_id = "sign_in", tag = "access", responses(
    (status = 200, description = "Signed in", body = WhoAmI, headers(("Set-Cookie" = String, description = "The cookie"))),
    (status = 401, description = "No valid key or token", body = Problem),
    (status = 409, description = "10,000 are signed in with this key or token", body = Problem),
))]
pub async fn sign_in(api: Api, base: PublicBase, request: Request) -> Result<Response, ApiError> {
    // A cookie is not exchanged for another: that one would outlive what this one was given for.
    if matches!(api.caller().credential, CredentialId::SignIn { .. }) {
        return Err(ApiError::new(
            ErrorCode::Unauthorized,
            "this needs a key or an access token, as `Authorization: Bearer …`",
        ));
    }
    let signed_in = api.services.access.sign_in_with((**api.caller()).clone()).await?;
    let mut response = Json(WhoAmI { signed_in: true, ..shown(&api, &signed_in.caller) }).into_response();
    set_cookie(
        &mut response,
        &Cookie {
            name: SESSION_COOKIE,
            value: &signed_in.cookie,
            seconds: lifetime(&signed_in),
            base: &base,
            is_secure: is_secure(&request),
        },
    )?;
    Ok(response)
}

/// Sign out: the cookie is not valid any more, and its sockets are closed.
#[utoipa::path(delete, path = "/sign-in", operation_id = "sign_out", tag = "access",
    responses((status = 204, description = "Signed out, or nobody was signed in")))]
pub async fn sign_out(api: Api, base: PublicBase, request: Request) -> Result<Response, ApiError> {
    api.services.access.sign_out(api.caller()).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(
        &mut response,
        &Cookie { name: SESSION_COOKIE, value: "", seconds: 0, base: &base, is_secure: is_secure(&request) },
    )?;
    Ok(response)
}

/// Where to go after signing in.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct BeginQuery {
    /// A path of this server, by default `/`.
    return_to: Option<String>,
}

/// Sign in with the identity provider: sends the browser there.
#[utoipa::path(get, path = "/sign-in/begin", operation_id = "begin_sign_in", tag = "access", params(BeginQuery), responses(
    (status = 303, description = "To the provider", headers(("Location" = String, description = "The provider's address"))),
    (status = 404, description = "This server has no identity provider", body = Problem),
))]
pub async fn begin(
    State(app): State<App>,
    Query(query): Query<BeginQuery>,
    base: PublicBase,
    request: Request,
) -> Result<Response, ApiError> {
    let redirect_uri = own_address(&request, &base, FINISH)?;
    let return_to = query.return_to.as_deref().unwrap_or("/");
    let begun = app.access.begin_sign_in(&redirect_uri, return_to).await?;
    let mut response = see_other(&begun.location)?;
    set_cookie(
        &mut response,
        &Cookie {
            name: PENDING,
            value: &begun.pending,
            seconds: begun.max_age.as_secs(),
            base: &base,
            is_secure: is_secure(&request),
        },
    )?;
    Ok(response)
}

/// What the provider sends back.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FinishQuery {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Where the identity provider sends the browser back to. It may add parameters of its own, which are ignored: so it
/// is not below `/api`.
#[utoipa::path(get, path = "/auth/callback", operation_id = "finish_sign_in", tag = "access", params(FinishQuery), responses(
    (status = 303, description = "Signed in: to where it was begun", headers(("Location" = String, description = "A path of this server"))),
    (status = 401, description = "Not signed in", body = Problem),
))]
pub async fn finish(
    State(app): State<App>,
    Query(query): Query<FinishQuery>,
    headers: HeaderMap,
    base: PublicBase,
    request: Request,
) -> Result<Response, ApiError> {
    let FinishQuery { code, state, iss, error } = query;
    let answer = ProviderAnswer { code, state, iss, error };
    // The first: a browser sends that of the longest path first, and another one is refused by its state.
    let pending = named_cookies(&headers, PENDING).next();
    let is_secure = is_secure(&request);
    let mut response = match app.access.finish_sign_in(pending, &answer).await {
        Ok((signed_in, return_to)) => {
            let mut response = see_other(&return_to)?;
            set_cookie(
                &mut response,
                &Cookie {
                    name: SESSION_COOKIE,
                    value: &signed_in.cookie,
                    seconds: lifetime(&signed_in),
                    base: &base,
                    is_secure,
                },
            )?;
            response
        }
        Err(error) => ApiError::from(error).into_response(),
    };
    set_cookie(&mut response, &Cookie { name: PENDING, value: "", seconds: 0, base: &base, is_secure })?;
    Ok(response)
}

fn see_other(location: &str) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(location).map_err(|_| ApiError::new(ErrorCode::Internal, "no address"))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}

fn lifetime(signed_in: &SignedIn) -> u64 {
    let left = signed_in.expires_at.as_millis() - Timestamp::now().as_millis();
    u64::try_from(left / 1_000).unwrap_or(0)
}

/// Whether the cookie may be sent over TLS only.
fn is_secure(request: &Request) -> bool {
    request.extensions().get::<ClientAddress>().is_some_and(ClientAddress::is_https)
}

/// The address of this server as the browser has it.
fn own_address(request: &Request, base: &PublicBase, path: &str) -> Result<String, ApiError> {
    let host = host_name(request).ok_or_else(|| ApiError::bad_request("the request has no Host header"))?;
    let scheme = if is_secure(request) { "https" } else { "http" };
    Ok(format!("{scheme}://{host}{base}{path}"))
}

/// A cookie, and where it belongs.
struct Cookie<'a> {
    name: &'a str,
    value: &'a str,
    seconds: u64,
    base: &'a PublicBase,
    is_secure: bool,
}

fn set_cookie(response: &mut Response, cookie: &Cookie<'_>) -> Result<(), ApiError> {
    let Cookie { name, value, seconds, base, is_secure } = cookie;
    let secure = if *is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path={base}/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let value = HeaderValue::from_str(&text).map_err(|_| ApiError::new(ErrorCode::Internal, "no cookie"))?;
    response.headers_mut().append(SET_COOKIE, value);
    Ok(())
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Auth(error) => error.into(),
            SignInError::NoProvider => Self::new(ErrorCode::NotFound, error.to_string()),
            SignInError::Refused(_) | SignInError::NotBegun => Self::new(ErrorCode::Unauthorized, error.to_string()),
        }
    }
}
