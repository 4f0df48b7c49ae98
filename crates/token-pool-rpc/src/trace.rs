//! W3C trace context in a call's metadata: what the caller is doing is the parent of what the pool does for it.

use opentelemetry::Context;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::propagation::{Extractor, Injector};
use tonic::metadata::{KeyRef, MetadataMap, MetadataValue};

struct Carrier<M>(M);

impl Injector for Carrier<&mut MetadataMap> {
    fn set(&mut self, key: &str, value: String) {
        let key = tonic::metadata::MetadataKey::from_bytes(key.as_bytes());
        if let (Ok(key), Ok(value)) = (key, MetadataValue::try_from(value)) {
            self.0.insert(key, value);
        }
    }
}

impl Extractor for Carrier<&MetadataMap> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        let names = self.0.keys().filter_map(|key| match key {
            KeyRef::Ascii(key) => Some(key.as_str()),
            KeyRef::Binary(_) => None,
        });
        names.collect()
    }
}

/// Writes the context of the moment into a call.
pub(crate) fn inject(metadata: &mut MetadataMap) {
    let mut carrier = Carrier(metadata);
    get_text_map_propagator(|p| p.inject_context(&Context::current(), &mut carrier));
}

/// The caller's context; an empty one where it sent none.
pub fn caller(metadata: &MetadataMap) -> Context {
    get_text_map_propagator(|p| p.extract_with_context(&Context::new(), &Carrier(metadata)))
}
