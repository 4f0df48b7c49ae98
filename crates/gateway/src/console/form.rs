//! A form as the JSON body of the call that it stands for.
//!
//! A field's name says where its value goes and what it is: `filter.status` is a member of `filter`, `amount:number` a number,
//! `dry_run:flag` a boolean, `tokens:secrets` a list of `{"secret": …}`, one a line, `expires_at:time` a local time taken as UTC,
//! `email:clear` null when it is empty. An empty field is left out; the rest is judged by the call itself. Names that begin with `_` are
//! the console's own.

use serde_json::{Map, Value, json};

#[derive(Default)]
pub(super) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    pub(super) fn read(body: &[u8]) -> Self {
        let pairs = std::str::from_utf8(body).ok().and_then(|text| {
            actix_web::web::Query::<Vec<(String, String)>>::from_query(text).ok().map(|query| query.into_inner())
        });
        Self { pairs: pairs.unwrap_or_default() }
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !name.starts_with('_'))
    }

    pub(super) fn body(&self) -> Value {
        let mut body = Map::new();
        for (name, value) in self.fields() {
            let (path, kind) = name.split_once(':').unwrap_or((name, ""));
            let value = value.trim();
            if let Some(value) = typed(kind, value) {
                place(&mut body, path, value);
            } else if let Some((parent, _)) = path.split_once('.') {
                // The object is there even when nothing of it was filled in.
                body.entry(parent).or_insert_with(|| json!({}));
            }
        }
        body.into()
    }
}

fn typed(kind: &str, value: &str) -> Option<Value> {
    match kind {
        "flag" => Some((value == "true").into()),
        "clear" if value.is_empty() => Some(Value::Null),
        "secrets" => {
            let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
            Some(lines.map(|secret| json!({ "secret": secret })).collect())
        }
        _ if value.is_empty() => None,
        // What is no number stays a string, and the call says what is wrong with it.
        "number" => Some(value.parse::<i64>().map_or_else(|_| value.into(), Value::from)),
        "time" if value.len() == 16 => Some(format!("{value}:00Z").into()),
        _ => Some(value.into()),
    }
}

fn place(body: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(body.insert(path.to_owned(), value)),
        Some((parent, rest)) => {
            if let Value::Object(inner) = body.entry(parent).or_insert_with(|| json!({})) {
                place(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_where_values_go_and_what_they_are() {
        let form = Form::read(
            b"_csrf=x&name=+Ada+&amount%3Anumber=12&dry_run%3Aflag=true&filter.status=failed&filter.tier=&email%3Aclear=&note=&share%3Anumber=many&tokens%3Asecrets=a%0D%0A%0D%0Ab&expires_at%3Atime=2027-01-02T03%3A04",
        );
        let expected = json!({
            "name": "Ada", "amount": 12, "dry_run": true, "filter": {"status": "failed"}, "email": null, "share": "many",
            "tokens": [{"secret": "a"}, {"secret": "b"}], "expires_at": "2027-01-02T03:04:00Z",
        });
        assert_eq!(form.body(), expected);
        assert_eq!(Form::read(b"filter.status=").body(), json!({"filter": {}}));
        assert_eq!(form.get("_csrf"), "x");
    }
}
