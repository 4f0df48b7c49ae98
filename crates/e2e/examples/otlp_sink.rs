//! A collector that keeps nothing, for measuring what telemetry costs: `cargo run --release -p e2e --example otlp_sink [ADDRESS]`.
//!
//! It takes spans on 127.0.0.1:4317, or where it is told to, and says once a second how many have come. It is no part of the product.

#![expect(clippy::print_stdout, reason = "what has come is told to whoever measures")]

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

#[derive(Default, Clone)]
struct Sink(Arc<AtomicU64>);

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let groups = request.into_inner().resource_spans.into_iter().flat_map(|group| group.scope_spans);
        self.0.fetch_add(groups.map(|scope| scope.spans.len() as u64).sum(), Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4317".to_owned());
    let sink = Sink::default();
    let serving = Server::builder().add_service(TraceServiceServer::new(sink.clone())).serve(address.parse()?);
    println!("ready http://{address}");
    let telling = async {
        let mut told = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let count = sink.0.load(Ordering::Relaxed);
            if count != told {
                println!("{count} spans");
                told = count;
            }
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = telling => Ok(()),
    }
}
