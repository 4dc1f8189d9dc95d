//! Projects, keys, access tokens, sign-ins and the audit log.

mod audit;
mod keys;
mod projects;
mod sign_in;
mod tokens;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::App;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::get, projects::replace, projects::delete))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::read))
        .routes(routes!(sign_in::who_am_i))
        .routes(routes!(sign_in::options, sign_in::sign_in, sign_in::sign_out))
        .routes(routes!(sign_in::begin))
}

/// Where the identity provider sends the browser back to.
pub fn sign_in_route() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sign_in::finish))
}
