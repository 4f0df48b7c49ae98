//! A log line as one JSON object: time, level, where it comes from, what it says, and the ids of everything that it is said within.
//!
//! The fields of the spans around an event stand beside its own and not below them, so that a search for a generation's or a trace's id needs
//! to know one name. Of equal names the innermost counts.

use serde_json::{Map, Value};
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

pub(super) struct OneLine;

/// A span's fields as members of an object, each with a comma behind it: what is recorded later is appended, and nothing is parsed before a
/// line is written.
pub(super) struct Members;

impl<'writer> FormatFields<'writer> for Members {
    fn format_fields<R: RecordFields>(&self, out: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Appended { out, result: Ok(()) };
        fields.record(&mut Visitor(&mut members));
        members.result
    }
}

impl<S> FormatEvent<S, Members> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Members>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let kept = span.extensions();
            let members = kept.get::<FormattedFields<Members>>().map(|kept| kept.trim_end_matches([',', ' ']));
            let object = members.and_then(|members| serde_json::from_str(&format!("{{{members}}}")).ok());
            if let Some(Value::Object(fields)) = object {
                line.extend(fields);
            }
            line.insert("span".to_owned(), span.name().into());
        }
        event.record(&mut Visitor(&mut Gathered(&mut line)));
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let meta = event.metadata();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), meta.level().as_str().into());
        line.insert("target".to_owned(), meta.target().into());
        writeln!(out, "{}", Value::Object(line))
    }
}

trait Keep {
    fn keep(&mut self, name: &str, value: Value);
}

struct Gathered<'line>(&'line mut Map<String, Value>);

impl Keep for Gathered<'_> {
    fn keep(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

struct Appended<'writer> {
    out: Writer<'writer>,
    result: fmt::Result,
}

impl Keep for Appended<'_> {
    fn keep(&mut self, name: &str, value: Value) {
        // What is for exporters is nothing to a reader.
        if self.result.is_ok() && !name.starts_with("otel.") {
            self.result = write!(self.out, "{}:{value},", Value::from(name));
        }
    }
}

struct Visitor<'kept>(&'kept mut dyn Keep);

impl Visitor<'_> {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.keep(field.name().trim_start_matches("r#"), value.into());
    }
}

impl Visit for Visitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_ids_of_all_spans_stand_beside_what_is_said() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().fmt_fields(Members).event_format(OneLine);
        let subscriber = tracing_subscriber::registry().with(layer.with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!(
                "request",
                otel.kind = "server",
                request_id = "r-1",
                account_id = tracing::field::Empty
            );
            outer.record("account_id", "acc_1");
            let _outer = outer.enter();
            let _inner = tracing::info_span!("submit", generation_id = "gen_1").entered();
            tracing::warn!(count = 3, error = %"line one\nline two", "it \"went\" wrong");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let mut line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(line.remove("timestamp").unwrap().as_str().unwrap().ends_with('Z'));
        assert!(line.remove("target").unwrap().as_str().unwrap().starts_with("bootstrap"));
        let expected = serde_json::json!({
            "level": "WARN", "span": "submit", "request_id": "r-1", "account_id": "acc_1", "generation_id": "gen_1",
            "count": 3, "error": "line one\nline two", "message": "it \"went\" wrong",
        });
        assert_eq!(Value::Object(line), expected);
    }
}
