//! A layer's filter whose answer is asked for anew at each span and event, instead of once for each place in the code.
//!
//! tracing-subscriber remembers a layer's last answer for each thread, and forgets it with the span or event that it was for. Whoever only asks
//! whether something is enabled (sqlx does, for each statement) leaves that answer behind, and a place in the code that is always
//! enabled does not ask again: its next span or event would be lost to the layer. A place that is asked each time is safe.

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Filter};

pub(super) struct Fresh<F>(pub(super) F);

impl<S, F: Filter<S>> Filter<S> for Fresh<F> {
    fn enabled(&self, meta: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.0.enabled(meta, context)
    }

    fn callsite_enabled(&self, meta: &'static Metadata<'static>) -> Interest {
        let interest = self.0.callsite_enabled(meta);
        if interest.is_never() { interest } else { Interest::sometimes() }
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        self.0.event_enabled(event, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::layer::SubscriberExt;

    struct Count(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Count {
        fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_question_without_an_event_costs_the_next_span_nothing() {
        let counted = Arc::new(AtomicUsize::new(0));
        let layer = Count(counted.clone())
            .with_filter(Fresh(filter_fn(|meta| meta.is_span() && *meta.level() <= tracing::Level::INFO)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for _ in 0..3 {
                let _asked = tracing::enabled!(tracing::Level::ERROR);
                let _span = tracing::info_span!("one");
            }
        });
        assert_eq!(counted.load(Ordering::Relaxed), 3);
    }
}
