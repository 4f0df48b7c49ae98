//! What the domain's types look like in JSON, made from the domain's own words and numbers, so that a limit is written down once.
//!
//! The forms that only this API has derive their schemas where they are defined; bodies of requests state theirs beside their parsers.

use crate::admin::accounts::{OVERRIDE_LARGEST, OVERRIDE_MOST};
use domain::account::AccountStatus;
use domain::generation::ErrorCode;
use domain::ids;
use domain::request::{METADATA_BYTES, METADATA_MOST};
use domain::state;
use domain::tier;
use domain::token::{self, PoolStatus};
use serde_json::Value;
use std::ops::RangeInclusive;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A character that trimming leaves, which U+0000 is not: Unicode's white space, as Rust trims it, written out for every dialect.
const VISIBLE: &str = r"[^\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\u0000]";

/// Something, one `@`, something, and no white space.
pub(crate) const EMAIL: &str = r"^[^@\s\u0085\u0000\u001c-\u001f]+@[^\s\u0085\u0000\u001c-\u001f]+$";

/// A type that stands for a schema of the document.
macro_rules! named {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {}
    )*};
}
pub(crate) use named;

named! {
    GenerationId = id(ids::GenerationId::PREFIX, "A generation.");
    AccountId = account_id();
    KeyId = id(ids::KeyId::PREFIX, "An API key's name; never the key.");
    TokenId = id(ids::TokenId::PREFIX, "An upstream token's name; never its secret.");
    WorkerId = id(ids::WorkerId::PREFIX, "One incarnation of a worker.");
    EntryId = id(ids::EntryId::PREFIX, "A line of the credit ledger.");
    AuditId = id(ids::AuditId::PREFIX, "A line of the audit trail.");

    Status = words("Where a generation stands.", state::Status::ALL.map(state::Status::name));
    Stage = words("The finer step within `queued` and `processing`.", state::Stage::ALL.map(state::Stage::name));
    WaitingOn = words("Why a queued generation waits.", state::WaitingOn::ALL.map(state::WaitingOn::name));
    Quality = words("How much care the upstream is asked to take.", tier::Quality::ALL.map(tier::Quality::name));
    Tier = words("An account's tier.", tier::Tier::ALL.map(tier::Tier::name));
    StatusOfAccount = words(
        "A suspended account's calls are refused; what it had accepted still ends.",
        [AccountStatus::Active, AccountStatus::Suspended].map(AccountStatus::name),
    );
    FailureCode = words("Why a generation ended without a result.", ErrorCode::ALL.map(ErrorCode::name));
    Milestone = words("What happened.", ["accepted", "started", "rendering", "ended"]);
    EntryKind = words("What moved the credits.", domain::credits::EntryKind::ALL.map(domain::credits::EntryKind::name));
    TokenState = words("Where an upstream token stands.", token::TokenState::ALL.map(token::TokenState::name));
    StatusOfPool = words(
        "`low`: fewer usable tokens than the minimum.",
        [PoolStatus::Ok, PoolStatus::Low, PoolStatus::Empty].map(PoolStatus::name),
    );

    Problem = super::complete::problem_schema();
    Overrides = overrides();
    CreditState = record("How a credit of this generation stands: exactly one of the three is its cost.", [
        ("reserved", count("").into()),
        ("captured", count("").into()),
        ("refunded", count("").into()),
    ]);
    Track = record("One piece of the result.", [
        ("id", string("The upstream's name of it.").into()),
        ("audio_url", string("Where the audio is.").into()),
        ("image_url", nullable(string("")).into()),
        ("title", nullable(string("")).into()),
        ("duration_seconds", ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).build().into()),
    ]);
    Output = record("What a succeeded generation has.", [
        ("tracks", ArrayBuilder::new().items(Ref::from_schema_name("Track")).min_items(Some(1)).build().into()),
    ]);
    Metadata = metadata();
}

/// What an account has otherwise than its tier, in requests and answers alike.
pub(crate) fn overrides() -> Object {
    let whole = |most, description| nullable(integer(&(0..=most), description)).into();
    let mut overrides = body(
        &[],
        [
            ("requests_per_minute", whole(OVERRIDE_LARGEST, "Requests in any 60 seconds.")),
            ("generations_per_month", whole(OVERRIDE_MOST, "")),
            ("credits_per_month", whole(OVERRIDE_MOST, "")),
            (
                "share",
                nullable(integer(
                    &(1..=OVERRIDE_LARGEST),
                    "The weight in a full system; more than 1,000 is taken as that.",
                ))
                .into(),
            ),
            ("backlog_max", whole(OVERRIDE_LARGEST, "Generations that may wait at once.")),
        ],
    );
    overrides.description =
        Some("What an account has otherwise than its tier; left out or null: the tier's number.".into());
    overrides
}

pub(crate) fn metadata() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(format!(
            "Echoed and never interpreted: at most {METADATA_MOST} strings, {METADATA_BYTES} bytes in all with their names."
        )))
        .max_properties(Some(METADATA_MOST))
        .property_names(Some(Schema::from(no_null())))
        .additional_properties(Some(Schema::from(no_null())))
        .build()
}

/// A TypeID of the given kind.
fn id(prefix: &str, description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")))
        .build()
}

pub(crate) fn account_id() -> Object {
    id(ids::AccountId::PREFIX, "An account.")
}

pub(crate) fn words<const N: usize>(description: &str, words: [&'static str; N]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(words)).build()
}

fn string(description: &str) -> Object {
    let description = Some(description).filter(|text| !text.is_empty());
    ObjectBuilder::new().schema_type(Type::String).description(description).build()
}

fn no_null() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[^\u0000]*$")).build()
}

fn count(description: &str) -> Object {
    let description = Some(description).filter(|text| !text.is_empty());
    ObjectBuilder::new().schema_type(Type::Integer).description(description).minimum(Some(0)).build()
}

/// What an answer holds, always all of it.
fn record<const N: usize>(description: &str, fields: [(&str, RefOr<Schema>); N]) -> Object {
    let start = ObjectBuilder::new().schema_type(Type::Object).description(Some(description));
    let add = |object: ObjectBuilder, (name, schema): (&str, _)| object.property(name, schema).required(name);
    fields.into_iter().fold(start, add).build()
}

/// A body of a request: fields that it does not name are refused.
pub(crate) fn body<const N: usize>(required: &[&str], fields: [(&str, RefOr<Schema>); N]) -> Object {
    let start = ObjectBuilder::new().schema_type(Type::Object);
    let closed = start.additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let object = fields.into_iter().fold(closed, |object, (name, schema)| object.property(name, schema));
    required.iter().fold(object, |object, name| object.required(*name)).build()
}

/// Free text of `1..=longest` characters after trimming, without U+0000.
pub(crate) fn text(longest: usize, description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .min_length(Some(1))
        .max_length(Some(longest))
        .pattern(Some(format!(r"^[^\u0000]*{VISIBLE}[^\u0000]*$")))
        .build()
}

pub(crate) fn integer(range: &RangeInclusive<i64>, description: &str) -> Object {
    let description = Some(description).filter(|text| !text.is_empty());
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(description)
        .minimum(Some(*range.start()))
        .maximum(Some(*range.end()))
        .build()
}

pub(crate) fn boolean(description: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description)).build()
}

pub(crate) fn time(description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some(description))
        .build()
}

/// What is left out and what is `null` are the same.
pub(crate) fn nullable(mut schema: Object) -> Object {
    if let SchemaType::Type(kind) = &schema.schema_type {
        schema.schema_type = SchemaType::Array(vec![kind.clone(), Type::Null]);
    }
    if let Some(words) = &mut schema.enum_values {
        words.push(Value::Null);
    }
    schema
}

pub(crate) fn with_default(mut schema: Object, value: impl Into<Value>) -> Object {
    schema.default = Some(value.into());
    schema
}
