//! What is kept from the console: accounts, their keys and credits, the pool of tokens.

use super::browser::Browser;
use crate::app::App;
use domain::tier::Tier;

#[tokio::test]
async fn accounts_keys_and_credits_are_kept_from_the_console() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let made = browser.press("/console/accounts", "accounts", &[("name", "Grace"), ("tier", "free")]).await;
    let page = made.location.split('?').next().unwrap().to_owned();
    let id = page.rsplit('/').next().unwrap().to_owned();
    browser.get(&made.location).await.is(200).has(&["Grace", "no e-mail address", "None: it cannot call the API."]);
    let key = browser.press(&page, &format!("accounts/{id}/keys"), &[("name", "laptop")]).await;
    key.is(200).has(&["Copy it now", "son1k_live_"]);
    let secret = key.text.split("value=\"son1k_live_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let customer = app.with_key(&format!("son1k_live_{secret}"));
    customer.get("/v1/account").await.is(200);
    assert!(!browser.get(&page).await.text.contains(&secret), "a key is shown once");
    let credits = format!("accounts/{id}/credits");
    browser.press(&page, &credits, &[("amount:number", "7"), ("reason", "goodwill")]).await.is(303);
    browser.get(&page).await.has(&["goodwill", "+7"]);
    let wrong = browser.press(&page, &credits, &[("amount:number", "many"), ("reason", "")]).await;
    wrong.is(422).has(&["amount", "reason", "Go back"]);
    // What is not touched is sent as the page shows it.
    let change = [("name", "Grace H."), ("tier", "pro"), ("overrides.share:number", "9")];
    browser.press(&page, &format!("accounts/{id}"), &change).await.is(303);
    browser.get(&page).await.has(&["Grace H.", "value=\"9\""]);
    browser.press(&page, &format!("accounts/{id}"), &[("email:clear", "g@example.org")]).await.is(303);
    browser.get(&page).await.has(&["Grace H.", "g@example.org", "value=\"9\""]);
    browser.get("/console/accounts?q=grace").await.has(&["Grace H."]);
    browser.get(&format!("/console/accounts?q={id}")).await.has(&["Grace H."]);
    browser.get("/console/audit").await.has(&[
        "account.create",
        "key.create",
        "credits.top_up",
        "account.change",
        "127.0.0.1",
    ]);
    browser.get("/console/ledger").await.has(&["add up"]);
}

#[tokio::test]
async fn a_form_pressed_twice_is_done_once() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let customer = app.customer(Tier::Free).await;
    let page = format!("/console/accounts/{}", customer.account);
    let shown = browser.get(&page).await;
    let typed = [("amount:number", "3"), ("reason", "once")];
    for _ in 0..2 {
        browser.press_on(&shown, &format!("accounts/{}/credits", customer.account), &typed).await.is(303);
    }
    assert_eq!(browser.get(&page).await.text.matches("once").count(), 1);
}

#[tokio::test]
async fn tokens_go_in_and_never_come_out() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let secrets = "secret-one\r\nsecret-two\r\n\r\nsecret-one\r\n";
    let imported = browser.press("/console/tokens", "tokens", &[("tokens:secrets", secrets)]).await;
    imported.is(200).has(&["<strong>2</strong> imported", "<strong>1</strong> were known already"]);
    let shown = browser.get("/console/tokens").await;
    assert!(!shown.text.contains("secret-one") && !imported.text.contains("secret-one"));
    let id = shown.text.split("id=\"tok_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    browser.press("/console/tokens", &format!("tokens/tok_{id}/disable"), &[]).await.is(303);
    browser.get("/console/tokens?state=disabled").await.has(&[&id, "Reinstate"]);
    browser.press("/console/tokens", &format!("tokens/tok_{id}"), &[]).await.is(303);
    assert!(!browser.get("/console/tokens").await.text.contains(&id));
}
