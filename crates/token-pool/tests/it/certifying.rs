//! Mutual TLS: who shows a certificate of the pool's own authority is let in, and nobody else; and a caller believes no other pool.

use crate::world::{Replica, SECRET, a_worker, any, import, leases, ledger};
use domain::ports::TokenAdmin;
use domain::ports::pool::PoolError;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use secrecy::SecretString;
use token_pool_rpc::proto::token_pool_client::TokenPoolClient;
use token_pool_rpc::{ConnectError, MutualTls, RemotePool, proto};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Code, Request};

/// Signs certificates; trusted by those whose certificates it signed.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate in this name, changed as told, and its key: PEM both.
    fn signs(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// Who is known as `name`, and trusts this authority.
    fn identity(&self, name: &str) -> MutualTls {
        let (certificate, key) = self.signs(name, |_| {});
        self.trusted_by(&certificate, &key)
    }

    fn trusted_by(&self, certificate: &str, key: &str) -> MutualTls {
        MutualTls::from_pem(self.0.pem().as_bytes(), certificate.as_bytes(), key.as_bytes()).unwrap()
    }
}

fn caller(replica: &Replica, secret: &str, tls: MutualTls) -> std::sync::Arc<RemotePool> {
    RemotePool::connect(&replica.address, SecretString::from(secret), Some(tls)).unwrap()
}

#[tokio::test]
async fn a_certificate_of_the_pools_authority_lets_in_with_or_without_the_secret_but_not_with_a_wrong_one() {
    let (ledger, authority) = (ledger().await, Authority::new());
    let leader = Replica::start_certified(&ledger.at, authority.identity("127.0.0.1")).await;
    let follower = Replica::start_certified(&ledger.at, authority.identity("127.0.0.1")).await;
    // Led from the one to the other over TLS too.
    let worker = caller(&follower, SECRET, authority.identity("worker-1"));
    import(&*leader.pool, 1, 1).await;
    assert_eq!(leases(&*worker, any(a_worker(), 1)).await.len(), 1);
    assert_eq!(worker.probe(true).check().await, Ok(()));

    let tls = authority.identity("worker-2").client();
    let channel = Channel::from_shared(leader.address.clone()).unwrap().tls_config(tls).unwrap();
    let mut raw = TokenPoolClient::new(channel.connect().await.unwrap());
    assert_eq!(raw.stats(proto::StatsRequest {}).await.unwrap().into_inner().leased, 1);
    for shown in ["Bearer something of 32 characters or so", "Basic eDp5", "Bearer "] {
        let mut request = Request::new(proto::StatsRequest {});
        request.metadata_mut().insert("authorization", shown.parse().unwrap());
        assert_eq!(raw.stats(request).await.unwrap_err().code(), Code::Unauthenticated, "{shown}");
    }
    drop((raw, worker));
    follower.stop().await;
    leader.stop().await;
}

#[tokio::test]
async fn without_a_certificate_with_a_foreign_one_or_an_expired_one_nobody_is_let_in() {
    let (ledger, authority, foreign) = (ledger().await, Authority::new(), Authority::new());
    let replica = Replica::start_certified(&ledger.at, authority.identity("127.0.0.1")).await;
    let stats = async |channel: Channel| {
        let mut request = Request::new(proto::StatsRequest {});
        request.metadata_mut().insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
        TokenPoolClient::new(channel).stats(request).await
    };
    // The right secret helps nobody: none, a foreign one, one that was good until yesterday.
    let known = || Certificate::from_pem(authority.0.pem());
    let (strange, strange_key) = foreign.signs("worker-1", |_| {});
    let (old, old_key) = authority.signs("worker-1", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let identity = |certificate: &str, key: &str| tonic::transport::Identity::from_pem(certificate, key);
    for (who, tls) in [
        ("without one", ClientTlsConfig::new()),
        ("with a foreign one", ClientTlsConfig::new().identity(identity(&strange, &strange_key))),
        ("with an expired one", ClientTlsConfig::new().identity(identity(&old, &old_key))),
    ] {
        let tls = tls.ca_certificate(known());
        let endpoint = Channel::from_shared(replica.address.clone()).unwrap().tls_config(tls).unwrap();
        let refused = stats(endpoint.connect_lazy()).await.unwrap_err();
        assert_ne!(refused.code(), Code::Unauthenticated, "{who}: refused before it could ask");
    }
    // Nor over plain HTTP/2; and our own client does not even try.
    let plain = replica.address.replacen("https", "http", 1);
    assert!(stats(Channel::from_shared(plain.clone()).unwrap().connect_lazy()).await.is_err());
    let certified = RemotePool::connect(&plain, SecretString::from(SECRET), Some(authority.identity("worker-1")));
    assert!(matches!(certified.err(), Some(ConnectError::Url)));

    // The same channel with a good certificate is let in: it was for the certificate.
    let good = authority.identity("worker-1").client();
    let endpoint = Channel::from_shared(replica.address.clone()).unwrap().tls_config(good).unwrap();
    assert!(stats(endpoint.connect_lazy()).await.is_ok());
    replica.stop().await;
}

#[tokio::test]
async fn a_caller_believes_no_pool_of_another_authority_or_another_name() {
    let (ledger, authority) = (ledger().await, Authority::new());
    let (elsewhere, elsewhere_key) = Authority::new().signs("127.0.0.1", |_| {});
    for (server, believed) in [
        (authority.identity("127.0.0.1"), true),
        (authority.identity("another-pool"), false),
        // It would let our caller in, but is not what it seems.
        (authority.trusted_by(&elsewhere, &elsewhere_key), false),
    ] {
        let replica = Replica::start_certified(&ledger.at, server).await;
        let worker = caller(&replica, SECRET, authority.identity("worker-1"));
        let answer = worker.stats().await;
        assert_eq!(answer.is_ok(), believed, "{answer:?}");
        assert!(believed || matches!(answer, Err(PoolError::Unavailable(_))), "{answer:?}");
        drop(worker);
        replica.stop().await;
    }
}

#[test]
fn what_makes_no_identity_is_refused_at_the_start_and_not_quoted() {
    let authority = Authority::new();
    let ((certificate, key), (_, another)) = (authority.signs("a", |_| {}), authority.signs("b", |_| {}));
    let trusted = authority.0.pem();
    for (authority, certificate, key) in [
        ("", certificate.as_str(), key.as_str()),
        ("no certificate", &certificate, &key),
        (&trusted, "", &key),
        (&trusted, &certificate, ""),
        (&trusted, &certificate, &another),
        (&trusted, &key, &certificate),
    ] {
        let refused = MutualTls::from_pem(authority.as_bytes(), certificate.as_bytes(), key.as_bytes()).unwrap_err();
        let text = format!("{refused} {refused:?}");
        assert!(!text.contains("BEGIN") && !text.contains(key.lines().nth(1).unwrap_or("no key")), "{text}");
    }
}
