//! Schemas in words: a kind with its rules, and a table where there are fields.

use super::html::{escape, inline};
use serde_json::Value;
use std::fmt::Write;

/// What a schema is, in a line: its kind, a link where it is named, and its rules.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(parts) = ["oneOf", "anyOf", "allOf"].iter().find_map(|all| schema[*all].as_array()) {
        let joined = if schema["allOf"].is_array() { " and " } else { " or " };
        return parts.iter().map(kind).collect::<Vec<_>>().join(joined);
    }
    if let Some(words) = schema["enum"].as_array() {
        let shown = words.iter().map(|word| match word {
            Value::String(word) => format!("<code>{}</code>", escape(word)),
            other => other.to_string(),
        });
        return shown.collect::<Vec<_>>().join(", ");
    }
    let name = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ if schema["properties"].is_object() => "object".to_owned(),
        _ => "anything".to_owned(),
    };
    if let Some(items) = schema.get("items") {
        let inner = if items["properties"].is_object() { "object".to_owned() } else { kind(items) };
        return format!("{name} of {inner}{}", rules(schema));
    }
    format!("{name}{}", rules(schema))
}

fn rules(schema: &Value) -> String {
    let mut rules = Vec::new();
    let between = |least: &Value, most: &Value, of: &str| match (least.is_null(), most.is_null()) {
        (false, false) => Some(format!("{least} to {most}{of}")),
        (true, false) => Some(format!("at most {most}{of}")),
        (false, true) => Some(format!("at least {least}{of}")),
        (true, true) => None,
    };
    rules.extend(between(&schema["minimum"], &schema["maximum"], ""));
    rules.extend(between(&schema["minLength"], &schema["maxLength"], " characters"));
    rules.extend(between(&schema["minItems"], &schema["maxItems"], " items"));
    rules.extend(between(&schema["minProperties"], &schema["maxProperties"], " names"));
    rules.extend(schema["format"].as_str().map(escape));
    if let Some(default) = schema.get("default") {
        rules.push(format!("{default} when left out"));
    }
    if rules.is_empty() { String::new() } else { format!(" <span class=\"rule\">{}</span>", rules.join(", ")) }
}

/// A schema with its fields.
pub(super) fn describe(schema: &Value) -> String {
    let said = schema["description"].as_str().map(|text| format!("<p>{}</p>", inline(text))).unwrap_or_default();
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let parts: String = parts
        .map(|part| if part["$ref"].is_string() { format!("<p>All of {}, and:</p>", kind(part)) } else { fields(part) })
        .collect();
    let own = fields(schema);
    let kind = if parts.is_empty() && own.is_empty() {
        format!("<p>{}{}</p>", kind(schema), pattern(schema))
    } else {
        String::new()
    };
    format!("{said}{kind}{parts}{own}")
}

fn pattern(schema: &Value) -> String {
    schema["pattern"].as_str().map(|pattern| format!(" <code>{}</code>", escape(pattern))).unwrap_or_default()
}

/// A table of an object's fields; empty where it has none.
pub(super) fn fields(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else { return String::new() };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = String::from("<table>");
    for (name, property) in properties {
        let must = if required.contains(&name.as_str()) { "" } else { " <span class=\"rule\">may be left out</span>" };
        let said = property["description"].as_str().map(inline).unwrap_or_default();
        let of =
            if property["items"]["properties"].is_object() { fields(&property["items"]) } else { fields(property) };
        let _ = write!(
            table,
            "<tr><th><code>{}</code></th><td>{}{must}<div>{said}</div>{of}</td></tr>",
            escape(name),
            kind(property)
        );
    }
    table.push_str("</table>");
    table
}
