//! One call: what it takes, what it answers, and both by example.

use super::html::{escape, inline, prose};
use super::schema;
use serde_json::Value;
use std::fmt::Write;

pub(super) struct Operation<'d> {
    path: &'d str,
    method: String,
    value: &'d Value,
}

/// Those of the document, in its order.
pub(super) fn all(document: &Value) -> impl Iterator<Item = Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, value)| Operation { path, method: method.to_uppercase(), value })
    })
}

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        other => escape(&serde_json::to_string_pretty(other).unwrap_or_default()),
    }
}

impl Operation<'_> {
    pub(super) fn tag(&self) -> &Value {
        &self.value["tags"][0]
    }

    fn text(&self, name: &str) -> &str {
        self.value[name].as_str().unwrap_or_default()
    }

    pub(super) fn entry(&self, menu: &mut String) {
        let (id, summary) = (self.text("operationId"), inline(self.text("summary")));
        let _ = write!(menu, "<a href=\"#{id}\"><span class=\"{0}\">{0}</span> {summary}</a>", self.method);
    }

    pub(super) fn article(&self, document: &Value, main: &mut String) {
        let _ = write!(
            main,
            "<article id=\"{id}\"><h3>{summary}</h3><p class=\"call\"><span class=\"{method}\">{method}</span> <code>{path}</code></p>\
             {description}{parameters}{body}<h4>By example</h4><pre>{curl}</pre>",
            id = self.text("operationId"),
            summary = inline(self.text("summary")),
            method = self.method,
            path = escape(self.path),
            description = prose(self.text("description")),
            parameters = self.parameters(),
            body = self.body(document),
            curl = self.curl(),
        );
        self.answers(document, main);
        main.push_str("</article>");
    }

    fn parameters(&self) -> String {
        let mut rows = String::new();
        for parameter in self.value["parameters"].as_array().into_iter().flatten() {
            let said = parameter["description"].as_str().map(inline).unwrap_or_default();
            let _ = write!(
                rows,
                "<tr><th><code>{}</code></th><td>{} <span class=\"rule\">{}</span><div>{said}</div></td></tr>",
                escape(parameter["name"].as_str().unwrap_or_default()),
                schema::kind(&parameter["schema"]),
                escape(parameter["in"].as_str().unwrap_or_default()),
            );
        }
        if rows.is_empty() { rows } else { format!("<h4>Parameters</h4><table>{rows}</table>") }
    }

    fn body(&self, document: &Value) -> String {
        let content = &self.value["requestBody"]["content"]["application/json"];
        if content.is_null() {
            return String::new();
        }
        let schema = &content["schema"];
        let part = schema["oneOf"].as_array().and_then(|parts| parts.iter().find(|part| part["type"] != "null"));
        format!("<h4>Body</h4>{}", schema::fields(resolve(document, part.unwrap_or(schema))))
    }

    /// A line for any shell.
    fn curl(&self) -> String {
        let (mut path, mut query, mut lines) = (self.path.to_owned(), Vec::new(), Vec::new());
        for parameter in self.value["parameters"].as_array().into_iter().flatten() {
            let Some(example) = parameter["schema"]["examples"].get(0) else { continue };
            let value = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            let name = parameter["name"].as_str().unwrap_or_default();
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                Some("query") => query.push(format!("{name}={value}")),
                _ => lines.push(format!("-H '{name}: {value}'")),
            }
        }
        let asked = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let method = if self.method == "GET" { String::new() } else { format!("-X {} ", self.method) };
        let mut curl = format!("curl {method}\"$SON1K{path}{asked}\" -H \"Authorization: Bearer $KEY\"");
        if let Some(body) = self.value["requestBody"]["content"]["application/json"].get("example") {
            lines.push("-H 'Content-Type: application/json'".to_owned());
            lines.push(format!("-d '{}'", serde_json::to_string_pretty(body).unwrap_or_default()));
        }
        for line in lines {
            let _ = write!(curl, " \\\n  {line}");
        }
        escape(&curl)
    }

    fn answers(&self, document: &Value, main: &mut String) {
        main.push_str("<h4>Answers</h4><table>");
        for (status, response) in self.value["responses"].as_object().into_iter().flatten() {
            let response = resolve(document, response);
            let said = response["description"].as_str().map(inline).unwrap_or_default();
            let _ = write!(main, "<tr><th>{status}</th><td>{said}");
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                if kind != "application/problem+json" {
                    let _ = write!(
                        main,
                        "<div>{} <span class=\"rule\">{kind}</span></div>",
                        schema::kind(&content["schema"])
                    );
                }
                if let Some(example) = content.get("example") {
                    let _ = write!(main, "<details><summary>Example</summary><pre>{}</pre></details>", pretty(example));
                }
            }
            main.push_str("</td></tr>");
        }
        main.push_str("</table>");
    }
}
