//! Replicas on one ledger: one leads, decides from what is measured, applies it, and leaves to the next what it knew.

use async_trait::async_trait;
use autoscaler::{Advise, Autoscaler, ControlError, Controller, ControllerProbe, Settings, StillLeads};
use conformance::Fixture;
use domain::ids::WorkerId;
use domain::ports::{Probe, Scaling};
use domain::scaling::{Rule, Standing};
use domain::tier::{Tier, Tiers};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const PATIENCE: Duration = Duration::from_secs(30);

/// A platform that does as it is told, and says so.
struct Platform {
    replicas: AtomicU32,
    down: AtomicBool,
    told: Mutex<Vec<u32>>,
}

impl Platform {
    fn new(replicas: u32) -> Arc<Self> {
        Arc::new(Self { replicas: replicas.into(), down: AtomicBool::new(false), told: Mutex::default() })
    }

    fn told(&self) -> Vec<u32> {
        self.told.lock().unwrap().clone()
    }
}

#[async_trait]
impl Controller for Platform {
    fn name(&self) -> &'static str {
        "platform"
    }

    async fn current(&self) -> Result<Option<u32>, ControlError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(ControlError::Unavailable("it is down".to_owned()));
        }
        Ok(Some(self.replicas.load(Ordering::SeqCst)))
    }

    async fn scale(&self, to: u32, leads: StillLeads<'_>) -> Result<(), ControlError> {
        assert!(leads(), "only a leader scales");
        self.told.lock().unwrap().push(to);
        self.replicas.store(to, Ordering::SeqCst);
        Ok(())
    }
}

fn anybody() -> WorkerId {
    WorkerId::from_uuid(uuid::Uuid::from_u128(rand::random()))
}

struct World {
    ledger: Arc<embedded::Ledger>,
    tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

struct Replica {
    shutdown: CancellationToken,
    probe: Arc<ControllerProbe>,
    registry: prometheus::Registry,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opened = embedded::Settings { data_dir: folder.path().to_owned(), tiers: Tiers::default() };
        Self { ledger: embedded::Ledger::open(opened).await.unwrap(), tasks: TaskTracker::new(), _folder: folder }
    }

    fn backstage(&self) -> Fixture {
        Fixture {
            accounts: self.ledger.clone(),
            generations: self.ledger.clone(),
            work: self.ledger.clone(),
            tokens: self.ledger.clone(),
            operators: self.ledger.clone(),
            scaling: self.ledger.clone(),
            clock: self.ledger.clone(),
        }
    }

    fn starts(&self, controller: Arc<dyn Controller>) -> Replica {
        self.starts_as(anybody(), Duration::from_millis(20), controller)
    }

    fn starts_as(&self, replica: WorkerId, interval: Duration, controller: Arc<dyn Controller>) -> Replica {
        let (shutdown, registry) = (CancellationToken::new(), prometheus::Registry::new());
        let probe = Arc::new(ControllerProbe::default());
        let own = Autoscaler {
            settings: Settings { interval, ..Settings::new(replica) },
            scaling: self.ledger.clone(),
            controller,
            probe: probe.clone(),
            registry: registry.clone(),
        };
        let stop = shutdown.clone();
        self.tasks.spawn(async move { autoscaler::run(own, stop).await.unwrap() });
        Replica { shutdown, probe, registry }
    }

    /// Waits for a decision of which this holds.
    async fn decided(&self, holds: impl Fn(&Standing) -> bool) -> Standing {
        let looking = async {
            loop {
                if let Some((standing, _)) = self.ledger.standing().await.unwrap()
                    && holds(&standing)
                {
                    return standing;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("no such decision")
    }

    async fn ends(self, replicas: Vec<Replica>) {
        replicas.iter().for_each(|replica| replica.shutdown.cancel());
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.unwrap();
        self.ledger.close().await;
    }
}

impl Replica {
    fn shows(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        // A replica that has only just been started counts nothing yet.
        let metrics = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
        metrics.map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value()).sum()
    }
}

async fn flood(world: &World, count: usize) {
    let backstage = world.backstage();
    backstage.customer(Tier::Enterprise).await.submit_many(count).await;
    backstage.worker().await;
    usable_tokens(&backstage).await;
}

/// Enough for any number of workers.
async fn usable_tokens(backstage: &Fixture) {
    use domain::ids::TokenId;
    use domain::ports::tokens::Leadership;
    use domain::token::{SealedSecret, TokenRecord, TokenState};
    let replica = WorkerId::new(backstage.now(), rand::random());
    let Leadership::Leader(epoch) = backstage.tokens.lead(replica, "here", PATIENCE).await.unwrap() else { panic!() };
    let token = TokenRecord {
        id: TokenId::new(backstage.now(), rand::random()),
        label: None,
        sealed: SealedSecret { key_id: "k1".to_owned(), wrapped_key: vec![1; 48], ciphertext: vec![2; 90] },
        fingerprint: [7; 32],
        max_concurrency: 10_000,
        requests_per_minute: None,
        expires_at: None,
        state: TokenState::Usable,
        until: None,
        reason: None,
        created_at: backstage.now(),
    };
    assert!(backstage.tokens.import(epoch, vec![token], 10).await.unwrap().is_some());
}

#[tokio::test]
async fn a_queue_that_grows_gets_another_worker() {
    let world = World::new().await;
    flood(&world, 101).await;
    let platform = Platform::new(1);
    let replica = world.starts(platform.clone());
    let standing = world.decided(|standing| standing.decision.desired == 2 && standing.inputs.current == 2).await;
    // The next one waits until the first has shown what it does.
    assert_eq!(standing.decision.rule, Rule::CoolDown);
    assert_eq!((standing.inputs.observed.due, standing.controller.as_str()), (101, "platform"));
    assert_eq!(platform.told(), [2]);
    assert_eq!(replica.shows("son1k_scaling_desired_replicas"), 2.0);
    assert_eq!(replica.shows("son1k_scaling_leading"), 1.0);
    world.ends(vec![replica]).await;
}

#[tokio::test]
async fn advice_is_written_down_and_nothing_is_touched() {
    let world = World::new().await;
    flood(&world, 101).await;
    let replica = world.starts(Arc::new(Advise));
    let standing = world.decided(|standing| standing.decision.desired == 2).await;
    assert_eq!((standing.controller.as_str(), standing.inputs.current, standing.failure), ("advise", 1, None));
    world.ends(vec![replica]).await;
}

#[tokio::test]
async fn one_leads_and_the_next_goes_on_where_it_was() {
    let world = World::new().await;
    flood(&world, 101).await;
    let platform = Platform::new(1);
    let first = world.starts(platform.clone());
    let before = world.decided(|standing| standing.inputs.current == 2).await;
    let second = world.starts(platform.clone());
    // The follower shows what was decided, and does not lead.
    let shown = async {
        while second.shows("son1k_scaling_desired_replicas") != 2.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.unwrap();
    assert_eq!(second.shows("son1k_scaling_leading"), 0.0);
    assert_eq!(second.shows("son1k_scaling_evaluations_total"), 0.0);
    first.shutdown.cancel();
    let after = world.decided(|standing| {
        standing.decision.memory.seen_at > before.decision.memory.seen_at
            && second.shows("son1k_scaling_leading") == 1.0
    });
    let after = after.await;
    assert_eq!(after.decision.memory.changed_at, before.decision.memory.changed_at, "the pause goes on");
    assert_eq!(platform.told(), [2], "nothing was done twice");
    world.ends(vec![first, second]).await;
}

#[tokio::test]
async fn a_platform_that_is_down_holds_everything_and_says_so() {
    let world = World::new().await;
    let platform = Platform::new(3);
    let replica = world.starts(platform.clone());
    world.decided(|standing| standing.inputs.current == 3).await;
    assert_eq!(replica.probe.check().await, Ok(()));
    platform.down.store(true, Ordering::SeqCst);
    // A round may have asked it before.
    world.decided(|standing| standing.failure.is_some()).await;
    flood(&world, 500).await;
    let held = world.decided(|standing| standing.inputs.observed.due == 500 && standing.failure.is_some()).await;
    assert_eq!((held.decision.desired, held.decision.rule, held.inputs.current), (3, Rule::NoData, 3));
    assert_eq!(held.failure.as_deref(), Some("the platform is out of reach: it is down"));
    assert_eq!(replica.probe.check().await, Err("the platform is out of reach: it is down".to_owned()));
    assert!(replica.shows("son1k_scaling_controller_calls_total") > 0.0);
    assert!(platform.told().is_empty());
    platform.down.store(false, Ordering::SeqCst);
    world.decided(|standing| standing.inputs.current == 5).await;
    assert_eq!(platform.told(), [5]);
    world.ends(vec![replica]).await;
}

/// A platform that is down, and whose every answer takes so long that another replica leads by then.
struct Slow {
    ledger: Arc<embedded::Ledger>,
    leads: WorkerId,
}

#[async_trait]
impl Controller for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn current(&self) -> Result<Option<u32>, ControlError> {
        self.ledger.resign_scaling(self.leads).await.unwrap();
        self.ledger.lead_scaling(anybody(), PATIENCE * 100).await.unwrap().expect("nobody else asks");
        Err(ControlError::Unavailable("it is down".to_owned()))
    }

    async fn scale(&self, _: u32, _: StillLeads<'_>) -> Result<(), ControlError> {
        panic!("it was overtaken")
    }
}

#[tokio::test]
async fn whoever_follows_is_not_degraded_by_what_it_heard_as_the_leader() {
    let world = World::new().await;
    let healed = async |replica: &Replica| {
        let looking = async {
            while replica.probe.check().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("still degraded");
    };
    // It hears of the next one when it writes down what it decided; it is not asked again for as long as this test runs.
    let overtaken = anybody();
    let slow = Arc::new(Slow { ledger: world.ledger.clone(), leads: overtaken });
    let first = world.starts_as(overtaken, PATIENCE * 10, slow);
    let evaluated = async {
        while first.shows("son1k_scaling_evaluations_total") == 0.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, evaluated).await.unwrap();
    healed(&first).await;
    world.ends(vec![first]).await;

    // It hears of it when it asks to lead.
    let world = World::new().await;
    let platform = Platform::new(3);
    platform.down.store(true, Ordering::SeqCst);
    let led = anybody();
    let second = world.starts_as(led, Duration::from_millis(20), platform);
    world.decided(|standing| standing.failure.is_some()).await;
    assert!(second.probe.check().await.is_err());
    let taken = async {
        loop {
            world.ledger.resign_scaling(led).await.unwrap();
            if world.ledger.lead_scaling(anybody(), PATIENCE * 100).await.unwrap().is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.unwrap();
    healed(&second).await;
    world.ends(vec![second]).await;
}
