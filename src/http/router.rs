//! The router.

use std::future::ready;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware;
use axum::response::IntoResponse as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bodies;
use super::compression;
use super::cross_site;
use super::error::ApiError;
use super::extract::{BODY_BYTES, TEXT_BODY_BYTES};
use super::parameters::KnownParameters;
use super::permissions::Permissions;
use super::state::App;
use super::{
    accounts, ag_ui, alerts, archive, archived, asyncapi, callers, catalog, commands, dashboard, deletion,
    driver_leases, forks, history, logs, memories, message_chunks, messages, observe, openapi, otlp, parameters,
    probes, schedules, sessions, sockets, sse, statistics, usage, webhooks,
};
use relive_protocol::ErrorCode;

/// Every route, each with its entry in the OpenAPI document.
pub fn router(app: App) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(openapi::document())
        .nest("/api/v1", api())
        .merge(traces())
        .routes(routes!(sockets::many))
        .routes(routes!(sockets::one))
        .routes(routes!(sockets::replay))
        .routes(routes!(sockets::list))
        .merge(accounts::sign_in_route())
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::metrics))
        .routes(routes!(probes::openapi))
        .routes(routes!(asyncapi::asyncapi))
        .routes(routes!(dashboard::index))
        .routes(routes!(dashboard::session))
        .routes(routes!(dashboard::asset))
        .routes(routes!(dashboard::embedded))
        .routes(routes!(dashboard::embedded_script))
        .split_for_parts();
    let parameters = KnownParameters::of(&document);
    let gate = callers::Gate { app: app.clone(), permissions: Permissions::of(&document) };
    let sockets = asyncapi::AsyncApiDocument::new(&document);
    let document = openapi::OpenApiDocument::new(&document);
    let (cross_site_rules, bodies, access) = (app.cross_site.clone(), app.bodies, app.access.clone());
    router
        .fallback(|| async { ApiError::new(ErrorCode::NotFound, "there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            ApiError::bad_request("this address does not support this method")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(middleware::from_fn_with_state(parameters, parameters::check))
        .layer(middleware::from_fn_with_state(gate, callers::identify))
        .layer(axum::Extension(document))
        .layer(axum::Extension(sockets))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::new(ErrorCode::Internal, "the server failed; its log says why").into_response()
        }))
        .layer(middleware::from_fn_with_state(bodies, bodies::limit))
        .layer(cross_site_rules.cross_origin())
        .layer(middleware::from_fn_with_state((cross_site_rules, access), cross_site::check))
        .layer(compression::layer())
        .layer(middleware::map_request(|request| ready(compression::accept_identity(request))))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
        .layer(middleware::from_fn_with_state(app.hub.tracer().clone(), observe::observe))
        .with_state(app)
}

fn header(name: &'static str, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
}

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::count))
        .routes(routes!(sessions::get, sessions::delete))
        .routes(routes!(deletion::delete))
        .routes(routes!(deletion::get_retention, deletion::replace_retention))
        .routes(routes!(statistics::read))
        .routes(routes!(sessions::graph))
        .routes(routes!(sessions::entity))
        .routes(routes!(sessions::events))
        .routes(routes!(history::diff))
        .routes(routes!(history::timeline))
        .routes(routes!(forks::fork))
        .routes(routes!(archive::export))
        .routes(routes!(archive::import))
        .routes(routes!(archived::list, archived::archive))
        .routes(routes!(archived::get, archived::delete))
        .routes(routes!(archived::export))
        .routes(routes!(archived::restore))
        .routes(routes!(messages::list))
        .routes(routes!(logs::list))
        .routes(routes!(memories::of_session))
        .routes(routes!(memories::search))
        .routes(routes!(memories::list))
        .routes(routes!(memories::get, memories::delete))
        .routes(routes!(usage::report))
        .routes(routes!(sessions::node, commands::update_node))
        .routes(routes!(driver_leases::renew))
        .routes(routes!(commands::control))
        .routes(routes!(commands::signal))
        .routes(routes!(commands::review))
        .routes(routes!(message_chunks::show))
        .routes(routes!(sse::session))
        .routes(routes!(sse::list))
        .routes(routes!(ag_ui::session))
        .routes(routes!(ag_ui::run))
        .merge(texts())
        .merge(catalog::routes())
        .merge(accounts::routes())
        .merge(webhooks::routes())
        .merge(schedules::routes())
        .merge(alerts::routes())
}

/// Routes of other protocols, with bodies of a size of their own.
fn traces() -> OpenApiRouter<App> {
    // The handler bounds the body.
    OpenApiRouter::new().routes(routes!(otlp::export)).layer(DefaultBodyLimit::disable())
}

/// Routes that accept the texts of messages and memories.
fn texts() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(commands::commands))
        .routes(routes!(memories::create))
        .layer(DefaultBodyLimit::max(TEXT_BODY_BYTES))
}
