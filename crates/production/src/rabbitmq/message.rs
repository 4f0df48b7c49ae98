//! What a ring looks like on the wire: `{"v":1,"from":…,"seq":…,"items":[…]}`, ids only.
//!
//! Each publisher numbers its rings, those included that it had to give up. So a listener sees from the numbers alone that it has
//! missed some, whoever dropped them: the publisher, the broker, or a full queue.

use domain::event::{Change, Notice};
use lapin::types::AMQPValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const VERSION: u8 = 1;
pub(super) const TRACEPARENT: &str = "traceparent";
/// As W3C has it, for now and for versions to come.
const TRACEPARENT_LONGEST: usize = 128;
/// Publishers that a listener keeps numbers of; each start of a process is a new one.
const PUBLISHERS: usize = 256;

/// What a ring carries.
pub(super) trait Item: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl Item for () {}
impl Item for Change {}
impl Item for Notice {}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub(super) struct Ring<T> {
    v: u8,
    from: u64,
    seq: u64,
    pub(super) items: Vec<T>,
    /// The W3C `traceparent`; it travels as a header and not in the body.
    #[serde(skip)]
    pub(super) trace: Option<String>,
}

impl<T: Item> Ring<T> {
    pub(super) fn new(from: u64, seq: u64, items: Vec<T>) -> Self {
        Self { v: VERSION, from, seq, items, trace: None }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// `None`: it makes no sense here.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|ring: &Self| ring.v == VERSION)
    }
}

/// A header's value, where it can be one: it may come from anybody who can publish here.
pub(super) fn traceparent(value: &AMQPValue) -> Option<String> {
    let bytes = match value {
        AMQPValue::LongString(text) => text.as_bytes(),
        AMQPValue::ShortString(text) => text.as_str().as_bytes(),
        _ => return None,
    };
    let text = std::str::from_utf8(bytes).ok()?;
    (text.len() <= TRACEPARENT_LONGEST && text.is_ascii()).then(|| text.to_owned())
}

/// The last number heard of each publisher.
#[derive(Default)]
pub(super) struct Heard(HashMap<u64, u64>);

impl Heard {
    /// `false`: at least one ring of this publisher is missing before this one.
    pub(super) fn follows<T>(&mut self, ring: &Ring<T>) -> bool {
        if self.0.len() >= PUBLISHERS && !self.0.contains_key(&ring.from) {
            self.0.clear();
        }
        match self.0.insert(ring.from, ring.seq) {
            // A ring that was sent twice, or late, is no gap.
            Some(last) => ring.seq <= last.saturating_add(1),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_left_out_is_noticed_once_and_for_each_publisher_alone() {
        let mut heard = Heard::default();
        let mut follows = |from, seq| heard.follows(&Ring::<()>::new(from, seq, vec![]));
        assert!(follows(1, 7), "what was before the first is nobody's loss");
        assert!(follows(1, 8) && follows(2, 1) && follows(1, 8), "twice is no gap");
        assert!(!follows(1, 10));
        assert!(follows(1, 11) && follows(2, 2));
    }

    #[test]
    fn another_version_and_other_texts_make_no_sense() {
        let ring = Ring::<()>::new(1, 2, vec![]);
        assert_eq!(Ring::decode(&ring.encode().unwrap()), Some(ring));
        for text in
            ["", "{}", "[]", r#"{"v":2,"from":1,"seq":2,"items":[]}"#, r#"{"v":1,"from":1,"seq":2,"items":[7]}"#]
        {
            assert_eq!(Ring::<()>::decode(text.as_bytes()), None, "{text}");
        }
    }
}
