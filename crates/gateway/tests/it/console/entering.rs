//! Who gets in, on which listener, and what nobody else can do.

use super::PAGES;
use super::browser::Browser;
use crate::app::{ADMIN_KEY, App};
use domain::tier::Tier;
use reqwest::Method;

const NO_FIELDS: [(&str, &str); 0] = [];

#[tokio::test]
async fn nobody_gets_in_without_the_key() {
    let app = App::start().await;
    let mut browser = Browser::at(&app);
    for page in PAGES {
        let seen = browser.get(page).await;
        assert_eq!(seen.status, 303, "{page}");
        assert!(seen.location.starts_with("/console/login?next=%2Fconsole"), "{page}: {}", seen.location);
    }
    browser.post("/console/act/queue/pause", &NO_FIELDS).await.is(303);
    browser.get("/console/login").await.is(200).has(&["Admin key", "method=\"post\"", "secrets/admin_api_key"]);
    let customers = app.customer(Tier::Pro).await;
    for (key, status) in
        [("", 401), ("wrong-key-wrong-key-wrong-key-wrong-key", 401), (customers.key.as_deref().unwrap(), 403)]
    {
        let seen = browser.post("/console/login", &[("key", key)]).await;
        seen.is(status);
        assert_eq!(seen.set_cookie, None);
        assert!(!seen.text.contains(key) || key.is_empty(), "a key must not come back");
    }
    for cookie in ["son1k_console=", "son1k_console=1.99999999999.ab.cd"] {
        browser.cookie = Some(cookie.to_owned());
        browser.get("/console").await.is(303);
    }
    // The cookie opens the console's pages, never the API.
    let inside = Browser::logged_in(&app).await;
    inside.get("/admin/v1/queue").await.is(401);
    // Nor does the API's key open the console.
    let seen = Browser::send(Browser::at(&app).request(Method::GET, "/console").bearer_auth(ADMIN_KEY)).await;
    seen.is(303);
}

#[tokio::test]
async fn guessing_is_limited() {
    let app = App::with(|settings| settings.unauthenticated_per_minute = 3).await;
    let browser = Browser::at(&app);
    let mut refused = Vec::new();
    for _ in 0..5 {
        refused.push(browser.post("/console/login", &[("key", "wrong")]).await.status.as_u16());
    }
    assert_eq!(refused, [401, 401, 401, 429, 429]);
}

#[tokio::test]
async fn the_cookie_is_strict_and_good_at_every_gateway() {
    let (app, other) = (App::start().await, App::start().await);
    let browser = Browser::at(&app);
    let seen = browser.post("/console/login", &[("key", ADMIN_KEY), ("next", "https://evil.example/console")]).await;
    assert_eq!(seen.location, "/console", "only pages of ours come next");
    let cookie = seen.set_cookie.unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=1800"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(ADMIN_KEY), "{cookie}");
    let by_tls = browser.sends("/console/login", &[("key", ADMIN_KEY)]).header("x-forwarded-proto", "https");
    assert!(Browser::send(by_tls).await.set_cookie.unwrap().contains("; Secure"));
    // Another gateway with the same secrets.
    let mut second = Browser::at(&other);
    second.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    let page = second.get("/console").await;
    let left = second.post("/console/logout", &page.is(200).form("/console/logout", &[])).await;
    assert_eq!(left.location, "/console/login");
    assert!(left.set_cookie.unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn no_other_site_can_act_and_no_page_runs_foreign_code() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let csrf = browser.get("/console").await.csrf();
    let own = [("_csrf", csrf.as_str())];
    let call = "/console/act/queue/pause";
    browser.post(call, &NO_FIELDS).await.is(403);
    browser.post(call, &[("_csrf", "0000")]).await.is(403);
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
        Browser::send(browser.sends(call, &own).header(name, value)).await.is(403);
    }
    // Another session's token is no good here.
    let stranger = Browser::logged_in(&app).await;
    stranger.post(call, &own).await.is(403);
    assert_eq!(app.operator().get("/admin/v1/queue").await.body["paused"], false);
    let ours = browser.sends(call, &own).header("origin", &app.url).header("sec-fetch-site", "same-origin");
    Browser::send(ours).await.is(303);
    assert_eq!(app.operator().get("/admin/v1/queue").await.body["paused"], true);

    for page in PAGES.into_iter().chain(["/console/login", "/console/nowhere", "/console/generations/gen_nonsense"]) {
        let seen = browser.get(page).await;
        assert!(
            seen.policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{page}: {}",
            seen.policy
        );
        assert!(seen.policy.contains("frame-ancestors 'none'") && !seen.policy.contains("unsafe"), "{page}");
        for inline in ["<style", " style=", "<script>", " onclick=", " onload=", "javascript:", "hx-on"] {
            assert!(!seen.text.contains(inline), "{page} has {inline}");
        }
        let links = seen.text.split("<link").skip(1).map(|link| link.split_once("href=\"").unwrap().1);
        let loaded: Vec<&str> = seen.text.split("src=\"").skip(1).chain(links).collect();
        assert!(loaded.len() >= 4, "{page}: a style, an icon, two scripts");
        for address in loaded {
            let address = address.split('"').next().unwrap();
            assert!(address.starts_with("/console/assets/"), "{page} loads {address}");
            assert_eq!(Browser::at(&app).get(address).await.status, 200, "{page} loads {address}");
        }
    }
    browser.get("/console/assets/session.rs").await.is(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_listener_of_their_own_operators_have_the_console_there_alone() {
    let app = App::start().await;
    let (here, apart) = app.another_apart();
    here.with_the_system_account().await;
    let browser = Browser::logged_in_at(&apart).await;
    for page in PAGES {
        browser.get(page).await.is(200);
    }
    browser.press("/console", "queue/pause", &[]).await.is(303);
    browser.get("/console").await.has(&["The queue is paused"]);
    let submitted = browser.press("/console/playground", "playground", &[("prompt", "a tune")]).await;
    browser.get(&submitted.is(303).location).await.is(200).has(&["a tune"]);
    browser.get("/console/assets/console.css").await.is(200);

    // Where customers come there is no console, whatever one has.
    let mut outside = Browser::at(&here);
    outside.cookie.clone_from(&browser.cookie);
    for page in PAGES.into_iter().chain(["/console/login", "/console/assets/console.css"]) {
        outside.get(page).await.is(404);
    }
    let resume = browser.get("/console").await.form("/console/act/queue/resume", &[]);
    outside.post("/console/act/queue/resume", &resume).await.is(404);
    outside.post("/console/login", &[("key", ADMIN_KEY)]).await.is(404);
    browser.get("/console").await.has(&["The queue is paused"]);
    here.stop().await;
}
