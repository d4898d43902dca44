//! `GET /api/v1/openapi.json`: what the API takes and answers, as OpenAPI 3.1 (by utoipa). The handlers declare it beside
//! themselves; `schemas` has the types that are not of this floor. Tests compare it with the routes and with real answers.

mod schemas;

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use super::error::ErrorBody;
use super::{
    decisions, deletions, events, flaws, groups, lockouts, logins, manifests, me, notifications, removals,
    repositories, search, statistics, status, sync, tags, tokens, user_changes, users,
};
use crate::store::Flaw;

/// What the whole document has in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [("password", HttpAuthScheme::Basic), ("token", HttpAuthScheme::Bearer)] {
            let scheme = HttpBuilder::new().scheme(scheme).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
        let requirements = ["password", "token"].map(|name| SecurityRequirement::new(name, [""; 0]));
        document.security = Some([SecurityRequirement::default()].into_iter().chain(requirements).collect());
        let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let error =
            ResponseBuilder::new().description("An error.").content("application/json", error).build();
        for path in document.paths.paths.values_mut() {
            for operation in [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete]
                .into_iter()
                .flatten()
            {
                operation.responses.responses.values_mut().for_each(allow_several);
                operation.responses.responses.insert("default".to_owned(), error.clone().into());
            }
        }
    }
}

/// An answer that has one of several forms may fit several: an empty list has no item that tells whose it is.
fn allow_several(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    for content in response.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(schema)) = &mut content.schema
            && let Schema::OneOf(forms) = schema
        {
            let description = forms.description.take();
            let any = AnyOfBuilder::new().description(description);
            *schema =
                std::mem::take(&mut forms.items).into_iter().fold(any, AnyOfBuilder::item).build().into();
        }
    }
}

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Portreeve", description = "What the registry holds, how it came to be, and how the door is."),
    paths(
        show,
        status::show,
        repositories::list,
        tags::list,
        manifests::list_or_show,
        deletions::delete_tag,
        deletions::delete_tags,
        deletions::delete_manifest,
        deletions::delete_repository,
        deletions::undelete,
        search::find,
        flaws::count_or_list,
        statistics::show,
        events::list_of_kind,
        events::stream,
        notifications::take,
        sync::start,
        removals::list,
        removals::accept,
        decisions::show,
        me::show,
        logins::list,
        logins::end,
        tokens::list,
        tokens::create,
        tokens::revoke,
        users::list,
        users::add,
        users::remove,
        user_changes::change,
        users::set_password,
        groups::list,
        lockouts::list,
        lockouts::unlock,
    ),
    components(schemas(ErrorBody, Flaw)),
    modifiers(&Common)
)]
struct Document;

/// Shows the document.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "door",
    responses((status = 200, description = "This document.", body = Object))
)]
pub(super) async fn show() -> impl IntoResponse {
    static DOCUMENT: LazyLock<Bytes> =
        LazyLock::new(|| Document::openapi().to_json().unwrap_or_default().into());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}
