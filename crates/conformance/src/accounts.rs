//! Accounts: made, shown, changed, found.

use crate::fixture::{Fixture, is_recent};
use domain::account::{AccountStatus, Overrides};
use domain::ids::AccountId;
use domain::page::PageRequest;
use domain::ports::accounts::{AccountChange, AccountFilter, NewAccount};
use domain::ports::generations::Submitted;
use domain::state::Status;
use domain::tier::Tier;

pub async fn an_account_is_shown_as_it_was_made(at: &Fixture) {
    let overrides = Overrides { requests_per_minute: Some(7), share: Some(3), ..Overrides::default() };
    let id = AccountId::new(at.now(), rand::random());
    let new = NewAccount {
        id,
        name: "Ünïcode & Söns".to_owned(),
        email: Some("a@example.org".to_owned()),
        tier: Tier::Enterprise,
        overrides,
    };
    let made = at.accounts.create(new).await.unwrap();
    assert_eq!((made.id, made.name.as_str(), made.tier), (id, "Ünïcode & Söns", Tier::Enterprise));
    assert_eq!((made.status, made.overrides), (AccountStatus::Active, overrides));
    assert_eq!(made.email.as_deref(), Some("a@example.org"));
    assert!(is_recent(made.created_at, at.now()));
    assert_eq!(at.accounts.show(id).await.unwrap(), Some(made));
    assert_eq!(at.accounts.show(AccountId::new(at.now(), rand::random())).await.unwrap(), None);
}

pub async fn what_changes_changes_and_the_rest_stays(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    let overrides = Overrides { backlog_max: Some(3), ..Overrides::default() };
    let change = AccountChange {
        name: Some("Renamed".to_owned()),
        email: Some(Some("b@example.org".to_owned())),
        overrides: Some(overrides),
        ..AccountChange::default()
    };
    let changed = at.change(customer.id, change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.email.as_deref()), ("Renamed", Some("b@example.org")));
    assert_eq!((changed.tier, changed.status, changed.overrides), (Tier::Free, AccountStatus::Active, overrides));
    let change = AccountChange { email: Some(None), ..AccountChange::default() };
    let changed = at.change(customer.id, change.clone()).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.email.as_deref()), ("Renamed", None));
    assert_eq!(changed.created_at, customer.account.created_at);
    assert_eq!(at.accounts.show(customer.id).await.unwrap(), Some(changed));
    let nobody = AccountId::new(at.now(), rand::random());
    assert_eq!(at.change(nobody, change).await, None);
}

pub async fn a_suspended_account_is_refused_and_what_it_had_still_ends(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let status = |status| AccountChange { status: Some(status), ..AccountChange::default() };
    at.change(customer.id, status(AccountStatus::Suspended)).await;
    assert_eq!(customer.try_submit(&customer.submission()).await, Submitted::AccountSuspended);
    let claimed = worker.claim_one().await;
    worker.succeed(claimed.held).await;
    assert_eq!(at.seen(id).await.status, Status::Succeeded);
    at.change(customer.id, status(AccountStatus::Active)).await;
    customer.submit().await;
}

pub async fn accounts_are_found_by_tier_and_text(at: &Fixture) {
    for (name, email, tier) in [
        ("Blue Note", None, Tier::Free),
        ("Red 100%", Some("red@note.example"), Tier::Pro),
        ("Green_", None, Tier::Pro),
    ] {
        let id = AccountId::new(at.now(), rand::random());
        let email = email.map(str::to_owned);
        let new = NewAccount { id, name: name.to_owned(), email, tier, overrides: Overrides::default() };
        at.accounts.create(new).await.unwrap();
    }
    for (tier, text, expected) in [
        (None, None, vec!["Blue Note", "Green_", "Red 100%"]),
        (Some(Tier::Pro), None, vec!["Green_", "Red 100%"]),
        (None, Some("NOTE"), vec!["Blue Note", "Red 100%"]),
        (Some(Tier::Pro), Some("note"), vec!["Red 100%"]),
        // A pattern's own characters are text.
        (None, Some("%"), vec!["Red 100%"]),
        (None, Some("_"), vec!["Green_"]),
        (None, Some("purple"), vec![]),
    ] {
        let filter = AccountFilter { tier, text: text.map(str::to_owned) };
        let found = at.accounts.list(&filter, PageRequest::default()).await.unwrap();
        let mut names: Vec<_> = found.items.into_iter().map(|account| account.name).collect();
        names.sort();
        assert_eq!(names, expected, "{filter:?}");
    }
}

pub async fn accounts_come_in_pages(at: &Fixture) {
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(at.customer(Tier::Free).await.id);
    }
    made.sort();
    made.reverse();
    let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = PageRequest { limit: 3, after };
        let page = at.accounts.list(&AccountFilter::default(), page).await.unwrap();
        seen.extend(page.items.iter().map(|account| account.id));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (made, 3));
}

pub async fn a_change_of_share_retags_what_waits(at: &Fixture) {
    // Both have share 1, so their turns alternate; with share 8 the second goes first for a while.
    let (one, two) = (at.customer_of(100).await, at.customer_of(100).await);
    one.submit_many(20).await;
    let in_order = two.submit_many(20).await;
    let overrides = Overrides { share: Some(8), ..two.account.overrides };
    let change = AccountChange { overrides: Some(overrides), ..AccountChange::default() };
    at.change(two.id, change).await;
    let worker = at.worker().await;
    let claimed = worker.claim(18).await;
    let of_two = claimed.iter().filter(|c| c.account_id == two.id).count();
    assert!((15..=17).contains(&of_two), "{of_two} of 18");
    // Nothing is lost on the way, and within the account the order stays.
    let rest = worker.claim(100).await;
    let order: Vec<_> = claimed.iter().chain(&rest).filter(|c| c.account_id == two.id).map(|c| c.held.id).collect();
    assert_eq!((claimed.len() + rest.len(), order), (40, in_order));
}

pub async fn the_ledgers_clock_never_goes_back(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let mut last = at.now();
    for _ in 0..20 {
        customer.submit().await;
        let now = at.now();
        assert!(now >= last);
        last = now;
    }
}
