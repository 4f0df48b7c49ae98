//! Operators' orders: each in one transaction with its audit entry and its key, each key carried out once.

use crate::fixture::{Fixture, is_recent};
use domain::account::{Account, KeyRecord};
use domain::credits::CreditEntry;
use domain::ids::{AccountId, AuditId, EntryId, GenerationId, KeyId, WorkerId};
use domain::page::PageRequest;
use domain::ports::accounts::{AccountChange, AuditEntry, TopUp};
use domain::ports::operators::{Acted, ChangeKey, Deed, Earlier, Order, Outcome};
use domain::state::Status;
use domain::tier::Tier;
use futures::future::join_all;

/// The operator's verbs.
impl Fixture {
    /// As it stands in the trail.
    pub fn an_entry(&self, action: &str) -> AuditEntry {
        AuditEntry {
            id: AuditId::new(self.now(), rand::random()),
            actor: "admi…".to_owned(),
            action: action.to_owned(),
            subject: None,
            address: None,
            request_id: "request".to_owned(),
            // A process's own clock decides nothing.
            created_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    /// An operator's order without a key.
    pub async fn ordered(&self, order: Order) -> Acted {
        self.ordered_with(order, None, b"").await
    }

    /// An operator's order, with what it is to be answered with.
    pub async fn ordered_with(&self, order: Order, key: Option<ChangeKey>, answer: &[u8]) -> Acted {
        let deed = Deed { entry: self.an_entry("story"), key, answer: &|_: &Outcome| answer.to_vec() };
        self.operators.act(&order, &deed).await.unwrap()
    }

    pub async fn change(&self, id: AccountId, change: AccountChange) -> Option<Account> {
        match self.ordered(Order::ChangeAccount(id, change)).await {
            Acted::Done(Outcome::Account(account)) => Some(account),
            Acted::NotFound => None,
            other => panic!("{other:?}"),
        }
    }

    pub async fn revoke(&self, account: AccountId, key: KeyId) -> Option<KeyRecord> {
        match self.ordered(Order::RevokeKey(account, key)).await {
            Acted::Done(Outcome::Key(record)) => Some(record),
            Acted::NotFound => None,
            other => panic!("{other:?}"),
        }
    }

    pub async fn top_up(&self, top_up: TopUp) -> Option<CreditEntry> {
        match self.ordered(Order::TopUp(top_up)).await {
            Acted::Done(Outcome::Entry(entry)) => Some(entry),
            Acted::NotFound => None,
            other => panic!("{other:?}"),
        }
    }
}

fn a_key(fingerprint: u8) -> ChangeKey {
    ChangeKey { hash: rand::random(), fingerprint: [fingerprint; 32] }
}

fn ten_credits(at: &Fixture, account_id: AccountId) -> TopUp {
    let id = EntryId::new(at.now(), rand::random());
    TopUp { id, account_id, amount: 10, reason: "invoice 9".to_owned() }
}

async fn trail(at: &Fixture) -> Vec<AuditEntry> {
    at.accounts.audit_trail(PageRequest { limit: 100, after: None }).await.unwrap().items
}

fn is_earlier(acted: &Acted) -> Option<&Earlier> {
    match acted {
        Acted::Earlier(earlier) => Some(earlier),
        _ => None,
    }
}

pub async fn the_audit_trail_is_dated_by_the_ledger(at: &Fixture) {
    let mut ids = Vec::new();
    for n in 0..3 {
        let entry = AuditEntry {
            subject: (n > 0).then(|| format!("acc_{n}")),
            address: (n > 1).then(|| "10.0.0.1".to_owned()),
            request_id: format!("req-{n}"),
            ..at.an_entry("token.import")
        };
        ids.push(entry.id);
        let deed = Deed { entry, key: None, answer: &|_: &Outcome| Vec::new() };
        assert_eq!(at.operators.act(&Order::Told, &deed).await.unwrap(), Acted::Done(Outcome::Done));
    }
    ids.sort();
    ids.reverse();
    let first = at.accounts.audit_trail(PageRequest { limit: 2, after: None }).await.unwrap();
    let second = at.accounts.audit_trail(PageRequest { limit: 2, after: first.next }).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (2, 1, None));
    let seen: Vec<_> = first.items.iter().chain(&second.items).collect();
    assert_eq!(seen.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
    for entry in seen {
        assert!(is_recent(entry.created_at, at.now()));
        assert_eq!((entry.actor.as_str(), entry.action.as_str()), ("admi…", "token.import"));
        assert_eq!(entry.address.is_some(), entry.request_id == "req-2");
        assert_eq!(entry.subject.is_some(), entry.request_id != "req-0");
    }
}

pub async fn what_is_refused_is_not_told(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let ended = customer.submit().await;
    customer.cancel(ended).await;
    let nobody = AccountId::new(at.now(), rand::random());
    for order in [
        Order::TopUp(ten_credits(at, nobody)),
        Order::Drain(WorkerId::new(at.now(), rand::random())),
        Order::Cancel(GenerationId::new(at.now(), rand::random())),
    ] {
        assert_eq!(at.ordered(order.clone()).await, Acted::NotFound, "{order:?}");
    }
    let refused = at.ordered(Order::Cancel(ended)).await;
    assert!(matches!(&refused, Acted::AlreadyFinal(generation) if generation.id == ended), "{refused:?}");
    assert_eq!(trail(at).await, []);
    at.ordered(Order::TopUp(ten_credits(at, customer.id))).await;
    assert_eq!(trail(at).await.len(), 1);
}

pub async fn an_order_s_key_is_carried_out_once(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    let key = a_key(1);
    assert_eq!(at.operators.earlier(&key).await.unwrap(), None);
    let order = || Order::TopUp(ten_credits(at, customer.id));
    let done = at.ordered_with(order(), Some(key), b"sealed").await;
    assert!(matches!(&done, Acted::Done(Outcome::Entry(entry)) if entry.amount == 10), "{done:?}");
    // Another fingerprint finds it too: whether that is a reuse, the asker judges.
    let again = at.ordered_with(order(), Some(ChangeKey { fingerprint: [2; 32], ..key }), b"other").await;
    let earlier = is_earlier(&again).unwrap().clone();
    assert_eq!((earlier.fingerprint, earlier.answer.as_slice()), ([1; 32], b"sealed".as_slice()));
    let told = trail(at).await;
    assert_eq!((told.len(), told[0].id), (1, earlier.entry));
    assert_eq!(at.operators.earlier(&key).await.unwrap(), Some(earlier));
    assert_eq!(customer.usage().await.balance, 15);
    // Another key is another order.
    at.ordered_with(order(), Some(a_key(1)), b"").await;
    assert_eq!(customer.usage().await.balance, 25);
}

pub async fn of_many_orders_with_one_key_one_is_carried_out(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    let key = a_key(1);
    let orders = (0..6).map(|_| at.ordered_with(Order::TopUp(ten_credits(at, customer.id)), Some(key), b"sealed"));
    let acted = join_all(orders).await;
    assert_eq!(acted.iter().filter(|acted| matches!(acted, Acted::Done(_))).count(), 1);
    let earlier = acted.iter().filter_map(is_earlier);
    assert_eq!(earlier.filter(|earlier| earlier.answer == b"sealed").count(), 5);
    assert_eq!((customer.usage().await.balance, trail(at).await.len()), (15, 1));
}

pub async fn a_refused_order_frees_its_key(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    let key = a_key(1);
    let nobody = AccountId::new(at.now(), rand::random());
    assert_eq!(at.ordered_with(Order::TopUp(ten_credits(at, nobody)), Some(key), b"").await, Acted::NotFound);
    assert_eq!(at.operators.earlier(&key).await.unwrap(), None);
    let done = at.ordered_with(Order::TopUp(ten_credits(at, customer.id)), Some(key), b"").await;
    assert!(matches!(done, Acted::Done(_)), "{done:?}");
}

pub async fn an_operator_cancels_what_any_customer_has(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (waiting, held) = (customer.submit().await, customer.submit().await);
    let worker = at.worker().await;
    let claimed = worker.claim_one().await.held.id;
    for id in [waiting, held] {
        let acted = at.ordered(Order::Cancel(id)).await;
        let Acted::Done(Outcome::Canceled { generation, tell_workers }) = acted else { panic!("{acted:?}") };
        assert_eq!((generation.id, generation.status, tell_workers), (id, Status::Canceled, id == claimed));
        assert_eq!(*generation, at.seen(id).await);
    }
    assert_eq!(customer.credits().await, (50, 0, 0));
    assert_eq!(trail(at).await.len(), 2);
    at.assert_the_books_add_up().await;
}
