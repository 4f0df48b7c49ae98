//! The upstream as it is, with something done before each submission and after its answer. It changes neither of the two.

use crate::stage::Stage;
use async_trait::async_trait;
use domain::ports::Upstream;
use domain::ports::upstream::{Progress, TokenCheck, UpstreamAnswer, UpstreamError, UpstreamJob};
use secrecy::SecretString;
use std::sync::Arc;
use tokio::sync::Notify;

struct Hooked<B, A> {
    inner: Arc<dyn Upstream>,
    before: B,
    after: A,
}

/// From now on the stage's workers go through the hooks.
pub(crate) fn hook<A: Future<Output = ()> + Send + 'static>(
    stage: &mut Stage,
    before: impl Fn() + Send + Sync + 'static,
    after: impl Fn() -> A + Send + Sync + 'static,
) {
    stage.instead = Some(Arc::new(Hooked { inner: stage.upstream(), before, after }));
}

/// From now on the answer to each submission waits for a notification.
pub(crate) fn answers_when_told(stage: &mut Stage) -> Arc<Notify> {
    let told = Arc::new(Notify::new());
    let waits = told.clone();
    let late = move || {
        let waits = waits.clone();
        async move { waits.notified().await }
    };
    hook(stage, || (), late);
    told
}

#[async_trait]
impl<B, A, W> Upstream for Hooked<B, A>
where
    B: Fn() + Send + Sync,
    A: Fn() -> W + Send + Sync,
    W: Future<Output = ()> + Send,
{
    async fn submit(&self, secret: &SecretString, job: &UpstreamJob) -> Result<UpstreamAnswer, UpstreamError> {
        (self.before)();
        let answer = self.inner.submit(secret, job).await;
        (self.after)().await;
        answer
    }

    async fn poll(&self, secret: &SecretString, upstream_id: &str) -> Result<Progress, UpstreamError> {
        self.inner.poll(secret, upstream_id).await
    }

    async fn cancel(&self, secret: &SecretString, upstream_id: &str) -> Result<bool, UpstreamError> {
        self.inner.cancel(secret, upstream_id).await
    }

    async fn check(&self, secret: &SecretString) -> Result<TokenCheck, UpstreamError> {
        self.inner.check(secret).await
    }
}
