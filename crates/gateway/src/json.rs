//! Strict JSON: what a lenient parser would silently mend is refused, because two parsers mend it differently.
//!
//! Duplicate keys, nesting deeper than [`DEEPEST`], bad UTF-8 and lone surrogates are malformed. A number that no double holds is
//! well-formed but invalid, and is named by its pointer. What the fields must be is [`crate::fields`]'s business.

use domain::request::Violation;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

const DEEPEST: usize = 32;

#[derive(Debug)]
pub(crate) enum JsonError {
    /// Says where and what, never the text itself.
    Malformed(String),
    Invalid(Violation),
}

/// RFC 6901: a name as it stands in a pointer. Very long names are cut: a pointer is no echo.
pub(crate) fn escape(name: &str) -> String {
    let cut: String = name.chars().take(100).collect();
    cut.replace('~', "~0").replace('/', "~1")
}

pub(crate) fn parse(body: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(body).map_err(|_| JsonError::Malformed("The body is not UTF-8.".into()))?;
    let path = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_str(text);
    let parsed =
        Strict { path: &path, depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| {
        let message = error.to_string();
        if message.starts_with("number out of range") {
            let pointer: String = path.borrow().iter().map(|step: &String| format!("/{step}")).collect();
            return JsonError::Invalid(Violation::at(&pointer, "is a number out of range"));
        }
        let place = format!("line {}, column {}", error.line(), error.column());
        let known = [DUPLICATE, DEEP].into_iter().find(|known| message.starts_with(known));
        JsonError::Malformed(match known {
            Some(known) => format!("The body has a {known} at {place}."),
            None => format!("The body is not JSON at {place}."),
        })
    })
}

const DUPLICATE: &str = "duplicate key";
const DEEP: &str = "nesting deeper than 32";

struct Strict<'p> {
    path: &'p RefCell<Vec<String>>,
    depth: usize,
}

impl Strict<'_> {
    fn enter(&self, step: String) -> Strict<'_> {
        self.path.borrow_mut().push(step);
        Strict { path: self.path, depth: self.depth + 1 }
    }

    fn leave(&self) {
        self.path.borrow_mut().pop();
    }

    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth >= DEEPEST { Err(E::custom(DEEP)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.enter(list.len().to_string()))? {
            self.leave();
            list.push(item);
        }
        self.leave();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(DUPLICATE));
            }
            let value = members.next_value_seed(self.enter(escape(&name)))?;
            self.leave();
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &[u8]) -> String {
        match parse(body) {
            Err(JsonError::Malformed(detail)) => detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_parsers_mend_differently_is_refused() {
        for body in [
            &b""[..],
            b"{",
            b"{}x",
            b"{} {}",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"\"\\ud800\"",
            b"\"\\udc00\"",
            b"\"\\ud800\\u0041\"",
            b"\"\x01\"",
            b"[NaN]",
            b"[01]",
            b"[+1]",
            b"// c\n{}",
        ] {
            refused(body);
        }
        assert!(refused(br#"{"a":1,"b":{"c":1,"c":2}}"#).contains("duplicate key"));
        assert!(refused(br#"{"a":1,"\u0061":2}"#).contains("duplicate key"));
    }

    #[test]
    fn thirty_two_levels_are_enough() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(32).as_bytes()).is_ok());
        assert!(refused(nested(33).as_bytes()).contains("deeper"));
        assert!(refused("[".repeat(60_000).as_bytes()).contains("deeper"));
    }

    #[test]
    fn a_number_beyond_doubles_is_named() {
        match parse(br#"{"a":[0,{"b/c":1e999}]}"#) {
            Err(JsonError::Invalid(violation)) => {
                assert_eq!(violation, Violation::at("/a/1/b~1c", "is a number out of range"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(parse(br#"{"z":1,"a":"\ud83d\ude00"}"#).unwrap().to_string(), "{\"z\":1,\"a\":\"\u{1f600}\"}");
    }
}
