//! Parameters that several calls share, each with its rule.

use super::schema::{self, integer, time, with_default};
use crate::idempotency;
use domain::page::{LARGEST, USUAL};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Required, Schema};
use utoipa::{IntoParams, PartialSchema};

/// A type that stands for some parameters of the document.
macro_rules! parameters {
    ($($name:ident = [$($parameter:expr),* $(,)?];)*) => {$(
        pub(crate) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$($parameter),*]
            }
        }
    )*};
}

parameters! {
    Paging = [
        query("limit", "Rows of the page.", with_default(integer(&(1..=i64::from(LARGEST)), ""), USUAL)),
        query("cursor", "The `next_cursor` of the page before.", string().pattern(Some("^[A-Za-z0-9_-]{21}[AQgw]$"))),
    ];
    Filter = [
        query("status", "Where it stands.", schema::Status::schema()),
        query("created_after", "Made at this moment or later.", time("")),
        query("created_before", "Made before this moment.", time("")),
    ];
    OperatorsFilter = [
        query("account", "Whose.", schema::AccountId::schema()),
        query("status", "Where it stands.", schema::Status::schema()),
        query("stage", "The finer step.", schema::Stage::schema()),
        query("tier", "Of accounts of this tier.", schema::Tier::schema()),
        query("error_code", "Why it ended without a result.", schema::FailureCode::schema()),
        query("created_after", "Made at this moment or later.", time("")),
        query("created_before", "Made before this moment.", time("")),
        query("q", "Part of the prompt, the title or the metadata.", string().min_length(Some(1)).max_length(Some(200)).pattern(Some(r"^[^\u0000]*$"))),
    ];
    AccountsFilter = [
        query("tier", "Accounts of this tier.", schema::Tier::schema()),
        query("q", "Part of the name or the e-mail address.", string().min_length(Some(1)).max_length(Some(200)).pattern(Some(r"^[^\u0000]*$"))),
    ];
    Generation = [path("id", "The generation.", schema::GenerationId::schema())];
    Account = [path("id", "The account.", schema::AccountId::schema())];
    KeyOfAccount = [
        path("id", "The account.", schema::AccountId::schema()),
        path("key_id", "One of its keys.", schema::KeyId::schema()),
    ];
    Token = [path("id", "The token.", schema::TokenId::schema())];
    DeadLetter = [path(
        "id",
        "What the letters under it say, as a number.",
        string().pattern(Some("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")).build(),
    )];
    Worker = [path("id", "The worker.", schema::WorkerId::schema())];
    IdempotencyKey = [header(
        idempotency::HEADER,
        "1 to 255 visible characters, quoted or bare. The same key with the same request answers as the first time and does nothing \
         again; with another one it is refused.",
        string().pattern(Some(r#"^("[!-~]{1,255}"|[!#-~][!-~]{0,254})$"#)),
    )];
    Prefer = [header(
        "Prefer",
        "`wait` or `wait=N`: hold the request open until the generation ends or N seconds pass; more than 60 is taken as 60.",
        string(),
    )];
    CancelAfter = [header(
        "Cancel-After",
        "Give up and refund if it has not ended by then: 5 s to 24 h, such as `90s`, `10m` or `2h`.",
        with_default(
            string()
                .pattern(Some(
                    "^(([5-9]|[1-9][0-9]{1,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)s\
                     |([1-9]|[1-9][0-9]{1,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m|([1-9]|1[0-9]|2[0-4])h)$",
                ))
                .build(),
            "1h",
        ),
    )];
    IfNoneMatch = [header("If-None-Match", "An `ETag` of before: 304 where nothing has changed since.", string())];
    LastEventId = [header(
        "Last-Event-ID",
        "The `id` of the last event seen: what happened since is told once.",
        integer(&(0..=i64::from(u32::MAX)), ""),
    )];
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn parameter(
    name: &str,
    description: &str,
    place: ParameterIn,
    required: Required,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .description(Some(description))
        .parameter_in(place)
        .required(required)
        .schema(Some(schema))
        .build()
}

fn query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, description, ParameterIn::Query, Required::False, schema)
}

fn header(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, description, ParameterIn::Header, Required::False, schema)
}

fn path(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, description, ParameterIn::Path, Required::True, schema)
}
