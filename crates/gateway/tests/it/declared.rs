//! What the document declares, as a test asks for it: the operations, each with its answers and its recorded example.

use crate::contract::{self, operations};
use crate::describing::EXAMPLES;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(Operation::all);
static RECORDED: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(EXAMPLES).unwrap());

/// One operation of the document.
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    pub(crate) template: &'static str,
    declared: &'static Value,
}

impl Operation {
    fn all() -> Vec<Self> {
        let made = |(template, method, declared): (_, String, &'static Value)| Self {
            id: declared["operationId"].as_str().unwrap(),
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            template,
            declared,
        };
        operations().map(made).collect()
    }

    pub(crate) fn is_operators(&self) -> bool {
        self.template.starts_with("/admin")
    }

    pub(crate) fn has_body(&self) -> bool {
        self.declared.get("requestBody").is_some()
    }

    pub(crate) fn takes(&self, name: &str) -> bool {
        self.declared["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["name"] == name)
    }

    pub(crate) fn example(&self) -> &'static Value {
        &RECORDED[self.id]
    }

    /// Status and code of each declared answer; what is no problem has no code.
    pub(crate) fn answers(&self) -> BTreeSet<(u16, String)> {
        let mut all = BTreeSet::new();
        for (status, response) in self.declared["responses"].as_object().unwrap() {
            let status = status.parse().unwrap();
            let codes = contract::resolve(response)["content"]["application/problem+json"]
                .pointer("/schema/allOf/1/properties/code/enum");
            match codes.and_then(Value::as_array) {
                Some(codes) => all.extend(codes.iter().map(|code| (status, code.as_str().unwrap().to_owned()))),
                None => drop(all.insert((status, String::new()))),
            }
        }
        all
    }
}
