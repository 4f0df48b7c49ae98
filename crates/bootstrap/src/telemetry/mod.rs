//! Logs and traces. Logs go to standard error, for standard output is the command line's; traces go to an OTLP collector where one is named.
//!
//! What is logged is `RUST_LOG`'s business, what is traced is not: the ids that lines carry and the spans that are exported do not depend on how
//! much is logged. Metrics are not here: they are pulled (`ops`).
//!
//! Spans wait in a queue of bounded length for a thread of their own, which sends them in batches with a deadline. A collector that is away or
//! slow costs a warning a batch and the spans that did not fit; no request waits for it.

mod fresh;
mod json;
mod sampler;

use crate::settings::{LogFormat, Telemetry as Settings};
use fresh::Fresh;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use std::io::IsTerminal;
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// What others say of what we report ourselves. Whoever names them in `RUST_LOG` hears them.
const QUIET: &str = "lapin=off,sqlx=warn,actix_server=warn,actix_http=off";
/// Spans that wait to be sent; more are dropped.
const QUEUE_MOST: usize = 8_192;
const BATCH_MOST: usize = 1_024;
const SENT_EVERY: Duration = Duration::from_secs(1);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// A stopped process waits no longer for its last spans.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {0}")]
    Exporter(String),
    #[error("RUST_LOG cannot be used: {0}")]
    Filter(String),
    #[error("telemetry is set up already")]
    Twice,
}

/// What must be ended in the end.
#[must_use = "the last spans are sent by shutdown"]
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Sets up the process's one subscriber and the W3C propagator. To be called within the runtime.
///
/// # Errors
/// A filter or an endpoint that cannot be used, or a second call.
pub fn init(settings: &Settings) -> Result<Telemetry, TelemetryError> {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.filter))
        .map_err(|error| TelemetryError::Filter(error.to_string()))?;
    let provider = settings.otlp_endpoint.as_deref().map(|endpoint| provider(endpoint, settings)).transpose()?;
    // Lines keep the ids of the spans around them, however few lines are wanted.
    let any_span = |meta: &Metadata<'_>| meta.is_span() && *meta.level() <= Level::INFO;
    let spans = filter_fn(any_span).with_max_level_hint(LevelFilter::INFO);
    // A span that names no kind is there for those lines alone.
    let exported = filter_fn(move |meta| any_span(meta) && meta.fields().field("otel.kind").is_some());
    let exported = exported.with_max_level_hint(LevelFilter::INFO);
    let traces = provider.as_ref().map(|provider| {
        // Where in the code a span is, on which thread and for how long it slept costs for each, and says little in a trace.
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("son1k"));
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_filter(Fresh(exported))
    });
    let terminal = std::io::stderr().is_terminal();
    let format = settings.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    let logs = match format {
        LogFormat::Text => logs.boxed(),
        LogFormat::Json => logs.fmt_fields(json::Members).event_format(json::OneLine).boxed(),
    };
    tracing_subscriber::registry()
        .with(logs.with_filter(Fresh(filter.or(spans))))
        .with(traces)
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    Ok(Telemetry { provider })
}

fn provider(endpoint: &str, settings: &Settings) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    let resource = Resource::builder_empty()
        .with_service_name(settings.service.clone())
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MOST)
        .with_max_export_batch_size(BATCH_MOST)
        .with_scheduled_delay(SENT_EVERY)
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(sampler::up_to(settings.traces_per_second))
        .with_resource(resource)
        .build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    Ok(provider)
}

impl Telemetry {
    /// Sends the last spans, within two seconds.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT));
        if let Ok(Ok(Err(error))) = tokio::time::timeout(SHUTDOWN_TIMEOUT + Duration::from_millis(500), ended).await {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}
