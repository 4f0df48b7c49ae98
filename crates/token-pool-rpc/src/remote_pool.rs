//! The token pool, reached over gRPC: follows the leader, reconnects by itself, and gives every call a deadline.
//!
//! It keeps no leases: what a worker holds is the worker's, what is granted the pool's. Calls that may safely run twice are repeated
//! within their deadline (an acquisition carries a request id); an import is repeated only where it certainly did not run.

use crate::convert::Malformed;
use crate::mutual_tls::MutualTls;
use crate::proto::{self, token_pool_client::TokenPoolClient};
use crate::refusal::Refusal;
use crate::trace;
use async_trait::async_trait;
use domain::ids::{LeaseId, TokenId};
use domain::ports::pool::{PoolError, TokenAdmin, TokenLeases};
use domain::ports::probe::Probe;
use domain::token::{AcquireRequest, Acquired, ImportOutcome, LeaseOutcome, PoolStats, TokenImport, TokenView};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

/// A call without a wait.
const DEADLINE: Duration = Duration::from_secs(2);
/// A thousand tokens, sealed and written in one transaction.
const IMPORT_DEADLINE: Duration = Duration::from_secs(10);
/// A probe answers within a second.
const PROBE_DEADLINE: Duration = Duration::from_millis(900);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Between tries while nobody leads or nobody answers.
const PAUSE: Duration = Duration::from_millis(50);
/// Two thousand tokens' listing with long labels and reasons.
const MESSAGE_MAX: usize = 8 * 1024 * 1024;

/// Why no client was made. Nothing has been called yet: a pool that is down is met by the calls.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "the token pool's URL is not http://host:port, or https://host:port with certificates (several may be given, comma-separated)"
    )]
    Url,
    #[error("the shared secret has characters that a header cannot carry")]
    Secret,
}

/// Where calls go at the moment.
struct Seat {
    address: String,
    channel: Channel,
    /// Which of the seeds comes next when the present one does not answer.
    next_seed: usize,
}

/// The client. Cheap to share; one connection to the leader carries everything.
pub struct RemotePool {
    seeds: Vec<String>,
    tls: Option<MutualTls>,
    authorization: MetadataValue<Ascii>,
    seat: Mutex<Seat>,
}

impl fmt::Debug for RemotePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePool").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

/// Where there are certificates nothing goes over a connection without them, whoever names the address.
fn open(address: &str, tls: Option<&MutualTls>) -> Result<Channel, ConnectError> {
    let mut endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| ConnectError::Url)?;
    let uri = endpoint.uri();
    let scheme = if tls.is_some() { "https" } else { "http" };
    if uri.scheme_str() != Some(scheme) || uri.host().is_none_or(str::is_empty) {
        return Err(ConnectError::Url);
    }
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls.client()).map_err(|_| ConnectError::Url)?;
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(3))
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// May the call have run already when its answer was lost?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Safe,
    OnlyIfUnsent,
}

impl RemotePool {
    /// `url`: `http://host:port` of any replica, or of several, comma-separated; `https://` where there are certificates. Must be called
    /// within a tokio runtime; connects with the first call.
    #[expect(clippy::needless_pass_by_value, reason = "the caller gives the secret away")]
    pub fn connect(url: &str, secret: SecretString, tls: Option<MutualTls>) -> Result<Arc<Self>, ConnectError> {
        let seeds: Vec<String> = url.split(',').map(|seed| seed.trim().trim_end_matches('/').to_owned()).collect();
        for seed in &seeds {
            open(seed, tls.as_ref())?;
        }
        let mut authorization =
            MetadataValue::try_from(format!("Bearer {}", secret.expose_secret())).map_err(|_| ConnectError::Secret)?;
        authorization.set_sensitive(true);
        let address = seeds.first().cloned().ok_or(ConnectError::Url)?;
        let channel = open(&address, tls.as_ref())?;
        Ok(Arc::new(Self { seeds, tls, authorization, seat: Mutex::new(Seat { address, channel, next_seed: 1 }) }))
    }

    /// For `/readyz`; `vital` where the process cannot work without the pool.
    pub fn probe(self: &Arc<Self>, vital: bool) -> Arc<dyn Probe> {
        Arc::new(PoolProbe { pool: Arc::clone(self), vital })
    }

    fn with_seat<T>(&self, use_it: impl FnOnce(&mut Seat) -> T) -> T {
        use_it(&mut self.seat.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves the address that did not help, unless somebody else already has.
    fn leave(&self, address: &str) {
        self.with_seat(|seat| {
            if seat.address != address {
                return;
            }
            let Some(seed) = self.seeds.get(seat.next_seed % self.seeds.len()) else { return };
            seat.next_seed = (seat.next_seed + 1) % self.seeds.len();
            // The same address keeps its channel, which reconnects by itself.
            if *seed != seat.address
                && let Ok(channel) = open(seed, self.tls.as_ref())
            {
                *seat = Seat { address: seed.clone(), channel, next_seed: seat.next_seed };
            }
        });
    }

    /// Goes to the leader that `told_by` named. `false`: it named none, itself, or no address of ours.
    fn follow(&self, told_by: &str, leader: &str) -> bool {
        if leader.is_empty() || leader == told_by {
            return false;
        }
        self.with_seat(|seat| {
            if seat.address == leader {
                return true;
            }
            match open(leader, self.tls.as_ref()) {
                Ok(channel) => {
                    tracing::info!(leader, "following the token pool's leader");
                    seat.address = leader.to_owned();
                    seat.channel = channel;
                    true
                }
                Err(_) => false,
            }
        })
    }

    async fn call<M: Clone, T, F>(
        &self,
        message: M,
        deadline: Duration,
        repeat: Repeat,
        call: impl Fn(TokenPoolClient<Channel>, Request<M>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let begun = Instant::now();
        loop {
            let (address, channel) = self.with_seat(|seat| (seat.address.clone(), seat.channel.clone()));
            let client = TokenPoolClient::new(channel).max_decoding_message_size(MESSAGE_MAX);
            let remaining = deadline.saturating_sub(begun.elapsed());
            let mut request = Request::new(message.clone());
            request.set_timeout(remaining);
            trace::inject(request.metadata_mut());
            request.metadata_mut().insert("authorization", self.authorization.clone());

            let status = match tokio::time::timeout(remaining, call(client, request)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer in time"),
            };
            let again = match (Refusal::of(&status), status.code()) {
                (Some(Refusal::NotLeader { leader }), _) => {
                    if self.follow(&address, &leader) {
                        // At once, for the leader is known; the deadline ends a chase between two that point at each other.
                        if begun.elapsed() < deadline {
                            tokio::task::yield_now().await;
                            continue;
                        }
                    } else {
                        self.leave(&address);
                    }
                    true
                }
                // The transport says the latter two of a connection that broke under the call; the pool itself never does.
                (None, Code::Unavailable | Code::Unknown | Code::Cancelled) => {
                    self.leave(&address);
                    repeat == Repeat::Safe
                }
                // A replica that hangs: the next call asks another one. This one's time is up.
                (None, Code::DeadlineExceeded) => {
                    self.leave(&address);
                    false
                }
                _ => false,
            };
            if !again || begun.elapsed() + PAUSE >= deadline {
                return Err(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn stats_within(&self, deadline: Duration) -> Result<PoolStats, PoolError> {
        self.call(proto::StatsRequest {}, deadline, Repeat::Safe, |mut client, request| async move {
            client.stats(request).await
        })
        .await
        .map(PoolStats::from)
        .map_err(failed)
    }
}

/// A status as the port's error. Statuses are written by the pool or by the transport; neither puts a secret there.
#[expect(clippy::needless_pass_by_value, reason = "used as a function value")]
fn failed(status: Status) -> PoolError {
    let text = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument => PoolError::Denied(text),
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unknown
        | Code::FailedPrecondition
        | Code::ResourceExhausted => PoolError::Unavailable(text),
        _ => PoolError::Internal(text),
    }
}

fn malformed(field: Malformed) -> PoolError {
    PoolError::Internal(format!("in the token pool's answer, {field}"))
}

/// `NOT_FOUND` is an outcome.
fn found<T>(answer: Result<T, Status>) -> Result<Option<T>, PoolError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(failed(status)),
    }
}

fn view(token: Option<proto::Token>) -> Result<TokenView, PoolError> {
    token.ok_or(Malformed("token")).and_then(TokenView::try_from).map_err(malformed)
}

#[async_trait]
impl TokenLeases for RemotePool {
    async fn acquire(&self, request: AcquireRequest) -> Result<Acquired, PoolError> {
        let message = proto::AcquireRequest::new(&request, rand::random());
        let deadline = DEADLINE + request.wait_up_to;
        let answer = self
            .call(message, deadline, Repeat::Safe, |mut client, request| async move { client.acquire(request).await })
            .await;
        match answer {
            Ok(answer) => {
                let leases = answer.leases.into_iter().map(TryInto::try_into).collect::<Result<_, _>>();
                leases.map(Acquired::Leases).map_err(malformed)
            }
            Err(status) => match Refusal::of(&status) {
                Some(Refusal::Dry { earliest }) => Ok(Acquired::Dry { earliest }),
                _ => Err(failed(status)),
            },
        }
    }

    async fn renew(&self, leases: &[LeaseId]) -> Result<Vec<LeaseId>, PoolError> {
        let message = proto::RenewRequest { lease_ids: leases.iter().map(LeaseId::to_string).collect() };
        let answer = self
            .call(message, DEADLINE, Repeat::Safe, |mut client, request| async move { client.renew(request).await })
            .await
            .map_err(failed)?;
        crate::convert::lease_ids(&answer.standing).map_err(malformed)
    }

    async fn release(&self, leases: &[(LeaseId, LeaseOutcome)]) -> Result<(), PoolError> {
        let releases = leases.iter().map(|(lease, outcome)| proto::Release::new(*lease, *outcome)).collect();
        self.call(proto::ReleaseRequest { releases }, DEADLINE, Repeat::Safe, |mut client, request| async move {
            client.release(request).await
        })
        .await
        .map(|_| ())
        .map_err(failed)
    }
}

#[async_trait]
impl TokenAdmin for RemotePool {
    async fn import(&self, tokens: Vec<TokenImport>) -> Result<Vec<ImportOutcome>, PoolError> {
        let message = proto::ImportRequest { tokens: tokens.into_iter().map(Into::into).collect() };
        let answer = self
            .call(message, IMPORT_DEADLINE, Repeat::OnlyIfUnsent, |client, request| async move {
                client.max_encoding_message_size(MESSAGE_MAX).import(request).await
            })
            .await
            .map_err(failed)?;
        answer.results.into_iter().map(|result| result.try_into().map_err(malformed)).collect()
    }

    async fn list(&self) -> Result<Vec<TokenView>, PoolError> {
        let answer = self
            .call(proto::ListRequest {}, DEADLINE, Repeat::Safe, |mut client, request| async move {
                client.list(request).await
            })
            .await
            .map_err(failed)?;
        answer.tokens.into_iter().map(|token| token.try_into().map_err(malformed)).collect()
    }

    async fn disable(&self, id: TokenId) -> Result<Option<TokenView>, PoolError> {
        let message = proto::DisableRequest { token_id: id.to_string() };
        let answer = self
            .call(message, DEADLINE, Repeat::Safe, |mut client, request| async move { client.disable(request).await })
            .await;
        found(answer)?.map(|answer| view(answer.token)).transpose()
    }

    async fn reinstate(&self, id: TokenId) -> Result<Option<TokenView>, PoolError> {
        let message = proto::ReinstateRequest { token_id: id.to_string() };
        let answer = self
            .call(message, DEADLINE, Repeat::Safe, |mut client, request| async move { client.reinstate(request).await })
            .await;
        found(answer)?.map(|answer| view(answer.token)).transpose()
    }

    async fn delete(&self, id: TokenId) -> Result<Option<()>, PoolError> {
        let message = proto::DeleteRequest { token_id: id.to_string() };
        let answer =
            self.call(message, DEADLINE, Repeat::OnlyIfUnsent, |mut client, request| async move {
                client.delete(request).await
            })
            .await;
        Ok(found(answer)?.map(|proto::DeleteResponse {}| ()))
    }

    async fn stats(&self) -> Result<PoolStats, PoolError> {
        self.stats_within(DEADLINE).await
    }
}

/// Readiness of the pool as a dependency: somebody leads and answers. A dry pool is ready; work waits for it.
#[derive(Debug)]
pub struct PoolProbe {
    pool: Arc<RemotePool>,
    vital: bool,
}

#[async_trait]
impl Probe for PoolProbe {
    fn name(&self) -> &'static str {
        "token_pool"
    }

    fn vital(&self) -> bool {
        self.vital
    }

    async fn check(&self) -> Result<(), String> {
        self.pool.stats_within(PROBE_DEADLINE).await.map(|_| ()).map_err(|error| error.to_string())
    }
}
