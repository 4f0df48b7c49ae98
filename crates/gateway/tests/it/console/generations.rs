//! Generations: found, explained, steered one by one and many at once; and made on the playground.

use super::browser::Browser;
use crate::app::App;
use domain::ids::{AccountId, GenerationId};
use domain::ports::LedgerClock;
use serde_json::json;

#[tokio::test]
async fn a_generation_is_found_explained_and_steered() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let customer = app.rich().await;
    let body = json!({"prompt": "a <b>harp</b> & rain", "title": "Wet \"strings\"", "metadata": {"order": "A-17"}});
    let id = customer.post("/v1/generations").json(&body).send().await.id();
    let other = customer.submitted("drums").await;
    let page = format!("/console/generations/{id}");

    let shown = browser.get(&page).await;
    shown.is(200).has(&[
        "Why it waits",
        "No worker is alive",
        "What to do",
        &customer.account.to_string(),
        "A-17",
        "hx-trigger=\"every 2s\"",
    ]);
    shown.has(&["a &lt;b&gt;harp&lt;/b&gt; &amp; rain"]);
    assert!(!shown.text.contains("<b>harp"), "prompts are text");

    let finds = async |query: &str| {
        let seen = browser.get(&format!("/console/generations?{query}")).await;
        seen.is(200);
        [id, other].map(|id| seen.text.contains(&format!("id=\"{id}\"")))
    };
    assert_eq!(finds("").await, [true, true]);
    assert_eq!(finds("q=HARP").await, [true, false], "by prompt");
    assert_eq!(finds("q=wet+%22").await, [true, false], "by title");
    assert_eq!(finds("q=a-17").await, [true, false], "by metadata");
    assert_eq!(finds("q=%25").await, [false, false], "no wildcards");
    assert_eq!(finds(&format!("q={}", customer.account)).await, [true, true]);
    assert_eq!(finds(&format!("q={}", AccountId::new(app.ledger.now(), [7; 10]))).await, [false, false]);
    assert_eq!(finds("status=failed").await, [false, false]);
    assert_eq!(finds("status=queued&tier=enterprise&age=hour").await, [true, true]);
    let by_id = browser.get(&format!("/console/generations?q={id}")).await;
    assert_eq!((by_id.status.as_u16(), by_id.location.as_str()), (303, page.as_str()));

    let pressed = browser.press(&page, &format!("generations/{id}/cancel"), &[]).await;
    assert_eq!(pressed.location, format!("{page}?said=canceled"));
    browser.get(&pressed.location).await.has(&["canceled by operator", "Submit anew", "its credit returned"]);
    let again = browser.press(&page, &format!("generations/{id}/retry"), &[]).await;
    assert_eq!(again.status, 303);
    let anew: GenerationId = again.location.split(['/', '?']).nth(3).unwrap().parse().unwrap();
    assert_ne!(anew, id, "{}", again.location);
    // What was said stands above the part that is replaced by the page without it.
    let seen = browser.get(&again.location).await;
    let (above, live) = seen.is(200).text.split_once("id=\"live\"").unwrap();
    assert!(above.contains("This is the new generation.") && live.contains("Anew of"), "{}", seen.text);
    app.finish_one().await;
    let done = browser.get(&format!("/console/generations/{other}")).await;
    done.is(200).has(&["<audio", "rendering", "succeeded"]);
    assert!(!done.text.contains("every 2s"), "what has ended does not refresh");
    browser.get("/console/generations/gen_nonsense").await.is(404).has(&["There is nothing here"]);
}

#[tokio::test]
async fn many_are_changed_after_being_counted() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let customer = app.rich().await;
    for number in 0..5 {
        customer.submitted(&format!("song {number}")).await;
    }
    customer.submitted("spared").await;
    let page = "/console/generations?q=SONG";
    let counted = browser.press(page, "generations/bulk", &[("action", "cancel")]).await;
    counted.is(200).has(&["<strong>5</strong> would be canceled"]);
    let waiting = async || app.operator().get("/admin/v1/queue").await.body["waiting"].clone();
    assert_eq!(waiting().await, 6, "counting changes nothing");
    // The form has no limit, so that a press takes as many as a call does; here it takes fewer, and something is left.
    let mut few = counted.form("/console/act/generations/bulk", &[]);
    few.push(("limit:number".to_owned(), "3".to_owned()));
    let begun = browser.post("/console/act/generations/bulk", &few).await;
    begun.is(200).has(&["<strong>3</strong> canceled", "There are more.", "Go on with the rest"]);
    assert_eq!(waiting().await, 3);
    let rest = browser.press_on(&begun, "generations/bulk", &[]).await;
    rest.is(200).has(&["<strong>2</strong> canceled"]);
    assert_eq!(waiting().await, 1);
}

#[tokio::test]
async fn the_playground_submits_for_the_operators_own_account() {
    let app = App::start().await;
    app.with_the_system_account().await;
    let browser = Browser::logged_in(&app).await;
    let typed = [
        ("prompt", "a tune"),
        ("duration_seconds:number", "600"),
        ("instrumental:flag", "true"),
        ("quality", "enterprise"),
    ];
    let submitted = browser.press("/console/playground", "playground", &typed).await;
    let page = browser.get(&submitted.is(303).location).await;
    page.is(200).has(&["a tune", "600 s, enterprise, instrumental", "free", "Submitted. It plays here"]);
}
