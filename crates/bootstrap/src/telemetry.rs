//! Logs and traces. Logs go to standard error, for standard output is the command line's; traces go to an OTLP collector where one is named.
//!
//! Metrics are not here: they are pulled (`ops`). The exporter needs a multi-thread runtime; a collector that is away costs a warning a
//! batch and nothing else.

use crate::settings::{LogFormat, Telemetry as Settings};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal;
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// What others say of what we report ourselves. Whoever names them in `RUST_LOG` hears them.
const QUIET: &str = "lapin=off,sqlx=warn,actix_server=warn,actix_http=off";
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
    let provider =
        settings.otlp_endpoint.as_deref().map(|endpoint| provider(endpoint, &settings.service)).transpose()?;
    let traces = provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("son1k")));
    let terminal = std::io::stderr().is_terminal();
    let format = settings.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    let logs = match format {
        LogFormat::Text => logs.boxed(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(logs)
        .with(traces)
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    Ok(Telemetry { provider })
}

fn provider(endpoint: &str, service: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    let resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
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
