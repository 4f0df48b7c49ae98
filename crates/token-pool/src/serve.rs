//! The pool over gRPC: the shared secret or mutual TLS, deadlines and bounds, `grpc.health.v1`, reflection where asked for.
//!
//! It decides nothing: each call is parsed, handed to the pool, and its outcome written as a status.

use crate::answered::Answered;
use crate::health::{Event, reason};
use crate::pool::Pool;
use domain::ids::TokenId;
use domain::token::{Acquired, TokenLease};
use opentelemetry::context::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use token_pool_rpc::proto::token_pool_server::{TokenPool, TokenPoolServer};
use token_pool_rpc::{Malformed, MutualTls, Refusal, proto, unauthenticated};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;

/// A thousand tokens with secrets of 4 KiB.
const MESSAGE_MAX: usize = 8 * 1024 * 1024;
/// Calls at once on one connection; what is more waits at the caller.
const STREAMS_MAX: u32 = 1_024;
/// Bytes of one call's metadata.
const HEADERS_MAX: u32 = 16 * 1024;
/// Longer than the longest wait for a token.
const CALL_DEADLINE: Duration = Duration::from_secs(35);
/// How long calls under way may take after the shutdown began.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the token pool's service failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("the token pool's reflection service could not be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// How callers are known.
pub struct Access {
    /// What a caller shows.
    pub secret: SecretString,
    /// Where there is one, every caller has shown a certificate of its authority before anything is read; it may then leave the secret out,
    /// but not show a wrong one.
    pub tls: Option<MutualTls>,
}

/// Serves until `shutdown` is cancelled, then lets calls under way end. Health answers without the secret; everything else needs it,
/// or a certificate.
///
/// # Errors
/// A certificate that cannot be used, or a transport that fails.
pub async fn serve(
    pool: Arc<Pool>,
    listener: TcpListener,
    access: Access,
    reflection: bool,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let service = TokenPoolServer::new(Service { pool: Arc::clone(&pool), answered: Mutex::default() })
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let guard = Guard { digest: digest(access.secret.expose_secret()), certified: access.tls.is_some() };
    let reflection = reflection
        .then(|| {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(token_pool_rpc::FILE_DESCRIPTOR_SET)
                .build_v1()
        })
        .transpose()?;

    let mut server = Server::builder();
    if let Some(tls) = &access.tls {
        server = server.tls_config(tls.server())?;
    }
    let server = server
        .timeout(CALL_DEADLINE)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .add_service(health)
        .add_service(InterceptedService::new(service, guard))
        .add_optional_service(reflection)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            shutdown.clone().cancelled_owned(),
        );
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let telling = async {
        let mut serving = pool.serving.subscribe();
        loop {
            let status = if *serving.borrow_and_update() { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(token_pool_rpc::SERVICE_NAME, status).await;
            if serving.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = drained => Ok(()),
        () = telling => Ok(()),
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Compares digests in constant time: neither the secret's content nor its length shows.
#[derive(Clone)]
struct Guard {
    digest: [u8; 32],
    /// The connection has shown a certificate already.
    certified: bool,
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(shown) = request.metadata().get("authorization") else {
            return if self.certified { Ok(request) } else { Err(unauthenticated()) };
        };
        let shown = shown.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if bool::from(digest(shown).ct_eq(&self.digest)) { Ok(request) } else { Err(unauthenticated()) }
    }
}

struct Service {
    pool: Arc<Pool>,
    answered: Mutex<Answered>,
}

impl Service {
    /// What the same request was answered before, as far as it still stands.
    fn answered(&self, request_id: [u8; 16]) -> Vec<TokenLease> {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let leases = answered.to(request_id, Instant::now());
        drop(answered);
        let Some(leases) = leases else { return Vec::new() };
        let ids: Vec<_> = leases.iter().map(|lease| lease.lease_id).collect();
        let standing = self.pool.keep(&ids).unwrap_or_default();
        leases.into_iter().filter(|lease| standing.contains(&lease.lease_id)).collect()
    }

    fn remember(&self, request_id: [u8; 16], leases: &[TokenLease]) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.remember(request_id, leases, Instant::now());
    }
}

fn token_id(text: &str) -> Result<TokenId, Malformed> {
    text.parse().map_err(|_| Malformed("token_id"))
}

fn no_such_token() -> Status {
    Status::not_found("no such token")
}

fn leased(leases: Vec<TokenLease>) -> Response<proto::AcquireResponse> {
    Response::new(proto::AcquireResponse { leases: leases.into_iter().map(Into::into).collect() })
}

#[tonic::async_trait]
impl TokenPool for Service {
    async fn acquire(
        &self,
        request: Request<proto::AcquireRequest>,
    ) -> Result<Response<proto::AcquireResponse>, Status> {
        let caller = token_pool_rpc::caller(request.metadata());
        let (request, request_id) = request.into_inner().parse()?;
        if let Some(request_id) = request_id {
            let leases = self.answered(request_id);
            if !leases.is_empty() {
                return Ok(leased(leases));
            }
        }
        match self.pool.lease(request).with_context(caller).await? {
            Acquired::Leases(leases) => {
                if let Some(request_id) = request_id {
                    self.remember(request_id, &leases);
                }
                Ok(leased(leases))
            }
            Acquired::Dry { earliest } => Err(Refusal::Dry { earliest }.into()),
        }
    }

    async fn renew(&self, request: Request<proto::RenewRequest>) -> Result<Response<proto::RenewResponse>, Status> {
        let standing = self.pool.keep(&request.get_ref().parse()?)?;
        Ok(Response::new(proto::RenewResponse { standing: standing.iter().map(ToString::to_string).collect() }))
    }

    async fn release(
        &self,
        request: Request<proto::ReleaseRequest>,
    ) -> Result<Response<proto::ReleaseResponse>, Status> {
        let releases = request.into_inner().releases;
        let releases = releases.into_iter().map(proto::Release::parse).collect::<Result<Vec<_>, Malformed>>()?;
        let refused = self.pool.free(&releases)?;
        Ok(Response::new(proto::ReleaseResponse { refused: refused.iter().map(ToString::to_string).collect() }))
    }

    async fn import(&self, request: Request<proto::ImportRequest>) -> Result<Response<proto::ImportResponse>, Status> {
        let tokens =
            request.into_inner().tokens.into_iter().map(TryInto::try_into).collect::<Result<Vec<_>, Malformed>>()?;
        let outcomes = self.pool.take_in(tokens).await?;
        Ok(Response::new(proto::ImportResponse { results: outcomes.into_iter().map(Into::into).collect() }))
    }

    async fn list(&self, _: Request<proto::ListRequest>) -> Result<Response<proto::ListResponse>, Status> {
        let views = self.pool.show_all()?;
        Ok(Response::new(proto::ListResponse { tokens: views.into_iter().map(Into::into).collect() }))
    }

    async fn disable(
        &self,
        request: Request<proto::DisableRequest>,
    ) -> Result<Response<proto::DisableResponse>, Status> {
        let id = token_id(&request.get_ref().token_id)?;
        let view = self.pool.steer(id, Event::Disabled(reason::OPERATOR)).await?.ok_or_else(no_such_token)?;
        Ok(Response::new(proto::DisableResponse { token: Some(view.into()) }))
    }

    async fn reinstate(
        &self,
        request: Request<proto::ReinstateRequest>,
    ) -> Result<Response<proto::ReinstateResponse>, Status> {
        let id = token_id(&request.get_ref().token_id)?;
        let view = self.pool.steer(id, Event::Reinstated).await?.ok_or_else(no_such_token)?;
        Ok(Response::new(proto::ReinstateResponse { token: Some(view.into()) }))
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Result<Response<proto::DeleteResponse>, Status> {
        let id = token_id(&request.get_ref().token_id)?;
        self.pool.remove(id).await?.ok_or_else(no_such_token)?;
        Ok(Response::new(proto::DeleteResponse {}))
    }

    async fn stats(&self, _: Request<proto::StatsRequest>) -> Result<Response<proto::StatsResponse>, Status> {
        Ok(Response::new(self.pool.numbers()?.into()))
    }
}
