//! What the pages of the running system say: what is wrong and what to do, the decision about workers, what was laid aside.

use super::browser::Browser;
use crate::app::App;
use crate::faults::Fault;
use reqwest::Method;

#[tokio::test]
async fn the_overview_says_what_is_wrong_and_what_it_could_not_load() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    browser.get("/console").await.has(&["No worker is alive", "Start a worker", "Waiting", "Pause the queue"]);
    let pause = browser.press("/console", "queue/pause", &[]).await;
    pause.is(303);
    browser.get("/console").await.has(&["The queue is paused", "Resume the queue"]);
    browser.press("/console", "queue/resume", &[]).await.is(303);
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    browser.get("/console").await.has(&["1 alive", &format!("workers/{}/drain", worker.id)]);
    browser.press("/console", &format!("workers/{}/drain", worker.id), &[]).await.is(303);
    // A part of a page for somebody whose session is over leads to the login.
    let partial = Browser::at(&app).request(Method::GET, "/console").header("hx-request", "true").send().await.unwrap();
    assert_eq!(partial.headers()["hx-redirect"], "/console/login?next=%2Fconsole");
    app.generations.fail(Fault::Unavailable, 2);
    browser.get("/console/generations").await.is(200).has(&["The list could not be loaded"]);
    browser.get("/console/playground").await.is(200).has(&["The list could not be loaded"]);
}

/// Three failures of three say nothing yet, neither in words nor in a color.
#[tokio::test]
async fn a_tile_is_marked_where_the_verdict_speaks_of_it_and_nowhere_else() {
    let app = App::start().await;
    let customer = app.rich().await;
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let fail = async |count: usize| {
        for number in 0..count {
            customer.submitted(&format!("song {number}")).await;
            let claimed = worker.render_one().await;
            worker.fail(claimed.held).await;
        }
    };
    // At a gateway that has counted nothing yet.
    let look = async || {
        let fresh = app.another();
        let browser = Browser::logged_in(&fresh).await;
        browser.press("/console/tokens", "tokens", &[("tokens:secrets", "one\ntwo")]).await.is(200);
        let seen = browser.get("/console").await;
        fresh.stop().await;
        seen
    };
    fail(3).await;
    let seen = look().await;
    seen.has(&["All is well.", "100 % failed"]);
    assert!(!seen.text.contains("class=\"tile warn\""), "{}", seen.text);
    fail(17).await;
    let seen = look().await;
    seen.has(&["100 % of the last five minutes' generations failed."]);
    assert_eq!(seen.text.matches("class=\"tile warn\"").count(), 1, "{}", seen.text);
}

#[tokio::test]
async fn the_page_of_scaling_shows_the_decision_that_stands() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let told = browser.get("/console/scaling").await;
    told.is(200).has(&["no autoscaler has decided anything yet", "<dt>controller</dt><dd>none</dd>"]);
    app.autoscaled().await;
    let answer = app.operator().get("/admin/v1/scaling").await.body;
    assert_eq!((&answer["controller"], &answer["current"], &answer["max"]), (&"docker".into(), &1.into(), &10.into()));
    let shown = browser.get("/console/scaling").await;
    shown.is(200);
    for name in ["current", "desired", "min", "max"] {
        shown.has(&[&format!("<h2>{name}</h2><p class=\"number\">{}</p>", answer[name])]);
    }
    shown.has(&[
        answer["reason"].as_str().unwrap(),
        "<dt>controller</dt><dd>docker</dd>",
        &format!("<dt>rule</dt><dd>{}</dd>", answer["rule"].as_str().unwrap()),
        &format!("<dt>token free</dt><dd>{}</dd>", answer["inputs"]["token_free"]),
        "<dt>paused</dt><dd>no</dd>",
    ]);
}

#[tokio::test]
async fn what_was_laid_aside_is_told_shown_rung_again_and_dropped() {
    let app = App::start().await;
    let (again, dropped) = (app.laid_aside.lays("<b>nonsense</b>", 2), app.laid_aside.lays("more of it", 1_234));
    let browser = Browser::logged_in(&app).await;
    browser.get("/console").await.has(&["Rings that made no sense were laid aside: 1\u{202f}236.", "/console/dead"]);
    browser.get("/console/dead").await.is(200).has(&[
        "&lt;b&gt;nonsense&lt;/b&gt;",
        "15 bytes",
        "<td data-label=\"How many\">2</td>",
        "<td data-label=\"How many\">1\u{202f}234</td>",
        "<td data-label=\"Why\">rejected</td>",
        "2027-01-15T08:00:00",
    ]);
    let pressed = browser.press("/console/dead", &format!("queue/dead/{again}/requeue"), &[]).await;
    let left = browser.get(&pressed.is(303).location).await;
    left.has(&["Rung again.", "more of it"]);
    assert!(!left.text.contains("nonsense"), "{}", left.text);
    let pressed = browser.press("/console/dead", &format!("queue/dead/{dropped}"), &[]).await;
    let left = browser.get(&pressed.is(303).location).await;
    left.has(&["Deleted.", "None."]);
    assert!(!browser.get("/console").await.text.contains("laid aside"), "there is nothing to tell any more");
}

#[tokio::test]
async fn more_than_a_page_of_what_was_laid_aside_is_seen_page_by_page() {
    let app = App::start().await;
    let mut ids: Vec<String> = (0..25).map(|_| app.laid_aside.lays("nonsense", 1).to_string()).collect();
    ids.sort();
    let browser = Browser::logged_in(&app).await;
    let on = |seen: &super::browser::Seen| ids.iter().filter(|id| seen.text.contains(id.as_str())).count();
    let first = browser.get("/console/dead").await;
    let next = first.text.split("href=\"/console/dead?cursor=").nth(1).unwrap().split('"').next().unwrap();
    let second = browser.get(&format!("/console/dead?cursor={next}")).await;
    assert_eq!((on(&first), on(&second)), (20, 5));
}
