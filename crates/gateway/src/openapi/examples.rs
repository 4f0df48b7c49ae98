//! One recorded exchange for each call, shown as the document's examples. A test sends every request of them again and compares.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{Object, RefOr, Schema};

/// A request and what it was answered with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    #[serde(default)]
    path: BTreeMap<String, Value>,
    #[serde(default)]
    query: BTreeMap<String, Value>,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    status: u16,
    #[serde(default)]
    answer: Option<Value>,
}

/// By operation id. That the file reads is proved by the test that sends its requests.
static RECORDED: LazyLock<BTreeMap<String, Exchange>> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// Writes the recorded exchange of this call into its parameters, body and answer.
pub(super) fn show(operation: &mut Operation) {
    let Some(exchange) = operation.operation_id.as_ref().and_then(|id| RECORDED.get(id)) else { return };
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let from = match parameter.parameter_in {
            ParameterIn::Path => &exchange.path,
            ParameterIn::Query => &exchange.query,
            _ => &exchange.headers,
        };
        if let (Some(value), Some(RefOr::T(Schema::Object(schema)))) =
            (from.get(&parameter.name), parameter.schema.as_mut())
        {
            example(schema, value);
        }
    }
    if let (Some(RefOr::T(body)), Some(value)) = (&mut operation.request_body, &exchange.body) {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content {
                content.example = Some(value.clone());
            }
        }
    }
    let response = operation.responses.responses.get_mut(&exchange.status.to_string());
    if let (Some(RefOr::T(response)), Some(value)) = (response, &exchange.answer) {
        for content in response.content.values_mut() {
            if let RefOr::T(content) = content {
                content.example = Some(value.clone());
            }
        }
    }
}

fn example(schema: &mut Object, value: &Value) {
    schema.examples = vec![value.clone()];
}
