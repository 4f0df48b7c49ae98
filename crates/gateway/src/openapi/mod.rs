//! The API's description, made from the code: OpenAPI 3.1 at `/openapi.json`.
//!
//! Handlers and the JSON forms are annotated where they are; [`complete`] adds what all calls share. A snapshot of the document and tests
//! that walk the routes, send its examples and check real answers against its schemas keep the two one.

pub(crate) mod complete;
mod examples;
pub(crate) mod params;
pub(crate) mod schema;

use crate::{account, admin, generations};
use actix_web::HttpResponse;
use complete::Complete;
use std::sync::LazyLock;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Son1k",
        description = include_str!("about.md"),
        license(name = "MIT", identifier = "MIT"),
        contact(),
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "Generations", description = "Submit, read, follow and cancel."),
        (name = "Account", description = "What an account has, used and may do."),
        (name = "Accounts", description = "Operators: customers, their keys and their credits."),
        (name = "Operations", description = "Operators: all generations, the queue, the workers, the books."),
        (name = "Tokens", description = "Operators: the upstream's tokens."),
    ),
    paths(
        generations::submit::submit,
        generations::list::list,
        generations::show::show,
        generations::cancel::cancel,
        generations::events::events,
        generations::explain::explain,
        account::show,
        account::ledger,
        admin::accounts::create,
        admin::accounts::list,
        admin::accounts::show,
        admin::accounts::change,
        admin::credits::top_up,
        admin::keys::create,
        admin::keys::list,
        admin::keys::revoke,
        admin::keys::rotate,
        admin::generations::list,
        admin::generations::show,
        admin::generations::cancel,
        admin::generations::retry,
        admin::bulk::change,
        admin::queue::show,
        admin::queue::pause,
        admin::queue::resume,
        admin::dead::list,
        admin::dead::requeue,
        admin::dead::discard,
        admin::scaling::show,
        admin::workers::list,
        admin::workers::drain,
        admin::audit::list,
        admin::ledger::verify,
        admin::tokens::list,
        admin::tokens::import,
        admin::tokens::pool,
        admin::tokens::disable,
        admin::tokens::reinstate,
        admin::tokens::delete,
    ),
    components(schemas(schema::Problem, schema::Track)),
    modifiers(&Complete),
)]
struct Document;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| Document::openapi().to_pretty_json().unwrap_or_default());

/// The document as it is served.
pub fn document() -> &'static str {
    &DOCUMENT
}

pub(crate) async fn serve() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").insert_header(("Cache-Control", "no-cache")).body(document())
}
