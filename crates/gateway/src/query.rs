//! Query parameters, parsed one by one; every broken one is named at once.

use crate::fields::moment;
use crate::problem::ApiError;
use actix_web::HttpRequest;
use actix_web::web;
use domain::Timestamp;
use domain::request::{Place, Violation};
use std::str::FromStr;

/// The parameters of one request. Those nobody asks for are left aside.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    broken: Vec<Violation>,
}

impl Query {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        Self { pairs: pairs.map(web::Query::into_inner).unwrap_or_default(), broken: Vec::new() }
    }

    pub(crate) fn refuse(&mut self, name: &'static str, detail: impl Into<String>) {
        self.broken.push(Violation { place: Place::Parameter(name), detail: detail.into() });
    }

    fn take(&mut self, name: &'static str) -> Option<String> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone());
        let first = values.next();
        if values.next().is_some() {
            drop(values);
            self.refuse(name, "must be given once");
            return None;
        }
        first
    }

    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.take(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.refuse(name, rule);
        }
        parsed
    }

    pub(crate) fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        self.parsed(name, "must be a time as in RFC 3339", moment)
    }

    pub(crate) fn id<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        self.parsed(name, "must be an identifier", |text| text.parse().ok())
    }

    /// 1 to 200 characters, without U+0000.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.parsed(name, "must have 1 to 200 characters, none of them U+0000", |text| {
            ((1..=200).contains(&text.chars().count()) && !text.contains('\0')).then(|| text.to_owned())
        })
    }

    /// The pairs as given, for the link to the next page.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    pub(crate) fn finish(&mut self) -> Result<(), ApiError> {
        if self.broken.is_empty() { Ok(()) } else { Err(ApiError::invalid(std::mem::take(&mut self.broken))) }
    }
}
