//! The console, as a browser meets it: who gets in, what a foreign site cannot do, what each page says, what each form does.

use crate::app::{ADMIN_KEY, App};
use crate::faults::Fault;
use domain::ids::{AccountId, GenerationId};
use domain::ports::LedgerClock;
use domain::tier::Tier;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder, StatusCode, redirect};
use serde_json::json;

/// A browser without a script: it keeps its cookie and follows no redirect by itself.
struct Browser {
    http: reqwest::Client,
    url: String,
    cookie: Option<String>,
}

struct Seen {
    status: StatusCode,
    location: String,
    policy: String,
    set_cookie: Option<String>,
    text: String,
}

impl Seen {
    #[track_caller]
    fn has(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.text.contains(word), "{word:?} is missing: {}", self.text);
        }
        self
    }

    #[track_caller]
    fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// The value of the first hidden field of this name.
    fn hidden(&self, name: &str) -> String {
        let after = self.text.split_once(&format!("name=\"{name}\" value=\"")).unwrap().1;
        after.split_once('"').unwrap().0.to_owned()
    }
}

impl Browser {
    fn at(app: &App) -> Self {
        Self::at_url(&app.url)
    }

    fn at_url(url: &str) -> Self {
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { http, url: url.to_owned(), cookie: None }
    }

    async fn logged_in(app: &App) -> Self {
        let mut browser = Self::at(app);
        let seen = browser.post("/console/login", &[("key", ADMIN_KEY), ("next", "/console/tokens")]).await;
        assert_eq!((seen.status.as_u16(), seen.location.as_str()), (303, "/console/tokens"), "{}", seen.text);
        browser.cookie = seen.set_cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        browser
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    async fn send(request: RequestBuilder) -> Seen {
        let response = request.send().await.unwrap();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, set_cookie) = (header(LOCATION).unwrap_or_default(), header(SET_COOKIE));
        let policy =
            response.headers().get_all("content-security-policy").iter().map(|v| v.to_str().unwrap()).collect();
        Seen { status: response.status(), location, policy, set_cookie, text: response.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Seen {
        Self::send(self.request(Method::GET, path)).await
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let mut url = reqwest::Url::parse("http://x").unwrap();
        url.query_pairs_mut().extend_pairs(fields);
        let body = url.query().unwrap_or_default().to_owned();
        self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        Self::send(self.form(path, fields)).await
    }

    /// Presses what a page shows: with the page's own token and key.
    async fn press(&self, page: &str, call: &str, fields: &[(&str, &str)]) -> Seen {
        let shown = self.get(page).await;
        shown.is(200);
        assert!(
            shown.text.contains(&format!("action=\"/console/act/{call}\"")),
            "{page} has no {call}: {}",
            shown.text
        );
        let (csrf, key) = (shown.hidden("_csrf"), shown.hidden("_key"));
        let own = [("_csrf", csrf.as_str()), ("_key", key.as_str()), ("_back", page), ("_said", "changed")];
        self.post(&format!("/console/act/{call}"), &[fields, &own].concat()).await
    }
}

const PAGES: [&str; 9] = [
    "/console",
    "/console/generations",
    "/console/accounts",
    "/console/tokens",
    "/console/dead",
    "/console/scaling",
    "/console/audit",
    "/console/ledger",
    "/console/playground",
];

#[tokio::test]
async fn nobody_gets_in_without_the_key() {
    let app = App::start().await;
    let mut browser = Browser::at(&app);
    for page in PAGES {
        let seen = browser.get(page).await;
        assert_eq!(seen.status, 303, "{page}");
        assert!(seen.location.starts_with("/console/login?next=%2Fconsole"), "{page}: {}", seen.location);
    }
    browser.post("/console/act/queue/pause", &[]).await.is(303);
    browser.get("/console/login").await.is(200).has(&["Admin key", "method=\"post\""]);
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
    let by_tls =
        Browser::send(browser.form("/console/login", &[("key", ADMIN_KEY)]).header("x-forwarded-proto", "https")).await;
    assert!(by_tls.set_cookie.unwrap().contains("; Secure"));
    // Another gateway with the same secrets.
    let mut second = Browser::at(&other);
    second.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    second.get("/console").await.is(200);
    let page = second.get("/console").await;
    let left = second.post("/console/logout", &[("_csrf", &page.hidden("_csrf"))]).await;
    assert_eq!(left.location, "/console/login");
    assert!(left.set_cookie.unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn no_other_site_can_act_and_no_page_runs_foreign_code() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let csrf = browser.get("/console").await.hidden("_csrf");
    let call = "/console/act/queue/pause";
    browser.post(call, &[]).await.is(403);
    browser.post(call, &[("_csrf", "0000")]).await.is(403);
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
        Browser::send(browser.form(call, &[("_csrf", &csrf)]).header(name, value)).await.is(403);
    }
    // Another session's token is no good here.
    let stranger = Browser::logged_in(&app).await;
    stranger.post(call, &[("_csrf", &csrf)]).await.is(403);
    assert_eq!(app.operator().get("/admin/v1/queue").await.body["paused"], false);
    let ours =
        browser.form(call, &[("_csrf", &csrf)]).header("origin", &app.url).header("sec-fetch-site", "same-origin");
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
        for address in seen.text.split("src=\"").skip(1).chain(seen.text.split("<link").skip(1)) {
            assert!(!address.starts_with("http"), "{page} loads from elsewhere");
        }
    }
    for asset in ["console.css", "console.js", "htmx.min.js", "icon.svg"] {
        Browser::at(&app).get(&format!("/console/assets/{asset}")).await.is(200);
    }
    browser.get("/console/assets/session.rs").await.is(404);
}

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
    assert_eq!(pressed.location, format!("{page}?said=changed"));
    browser.get(&page).await.has(&["canceled by operator", "Submit anew"]);
    let again = browser
        .press(&page, &format!("generations/{id}/retry"), &[("_open", "new"), ("_back", "/console/generations")])
        .await;
    assert_eq!(again.status, 303);
    let anew: GenerationId = again.location.split(['/', '?']).nth(3).unwrap().parse().unwrap_or(id);
    assert_ne!(anew, id, "{}", again.location);
    browser.get(&format!("/console/generations/{anew}")).await.is(200).has(&["Anew of"]);
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
    let page = "/console/generations";
    let fields = [("action", "cancel"), ("dry_run:flag", "true"), ("filter.q", "SONG"), ("filter.status", "")];
    let counted = browser.press(page, "generations/bulk", &fields).await;
    counted.is(200).has(&["<strong>5</strong> would be canceled"]);
    let waiting = async || app.operator().get("/admin/v1/queue").await.body["waiting"].clone();
    assert_eq!(waiting().await, 6, "counting changes nothing");
    let (csrf, key) = (counted.hidden("_csrf"), counted.hidden("_key"));
    let done = [
        ("_csrf", csrf.as_str()),
        ("_key", &key),
        ("action", "cancel"),
        ("filter.q", &counted.hidden("filter.q")),
        ("filter.status", ""),
    ];
    let few = [done.as_slice(), &[("limit:number", "3")]].concat();
    let begun = browser.post("/console/act/generations/bulk", &few).await;
    begun.is(200).has(&["<strong>3</strong> canceled", "There are more.", "Go on with the rest"]);
    assert_eq!(waiting().await, 3);
    let (key, cursor) = (begun.hidden("_key"), begun.hidden("cursor"));
    let rest =
        [("_csrf", csrf.as_str()), ("_key", &key), ("cursor", &cursor), ("action", "cancel"), ("filter.q", "SONG")];
    browser.post("/console/act/generations/bulk", &rest).await.is(200).has(&["<strong>2</strong> canceled"]);
    assert_eq!(waiting().await, 1);
}

#[tokio::test]
async fn accounts_keys_and_credits_are_kept_from_the_console() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let made = browser
        .press("/console/accounts", "accounts", &[("name", "Grace"), ("tier", "free"), ("email", ""), ("_open", "new")])
        .await;
    let page = made.location.split('?').next().unwrap().to_owned();
    let id = page.rsplit('/').next().unwrap().to_owned();
    browser.get(&made.location).await.is(200).has(&["Grace", "no e-mail address", "None: it cannot call the API."]);
    let key =
        browser.press(&page, &format!("accounts/{id}/keys"), &[("name", "laptop"), ("expires_at:time", "")]).await;
    key.is(200).has(&["Copy it now", "son1k_live_"]);
    let secret = key.text.split("value=\"son1k_live_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let customer = app.with_key(&format!("son1k_live_{secret}"));
    customer.get("/v1/account").await.is(200);
    assert!(!browser.get(&page).await.text.contains(&secret), "a key is shown once");
    browser
        .press(&page, &format!("accounts/{id}/credits"), &[("amount:number", "7"), ("reason", "goodwill")])
        .await
        .is(303);
    browser.get(&page).await.has(&["goodwill", "+7"]);
    let wrong =
        browser.press(&page, &format!("accounts/{id}/credits"), &[("amount:number", "many"), ("reason", "")]).await;
    wrong.is(422).has(&["amount", "reason", "Go back"]);
    let change = [
        ("_method", "PATCH"),
        ("name", "Grace H."),
        ("tier", "pro"),
        ("email:clear", ""),
        ("overrides.share:number", "9"),
    ];
    browser.press(&page, &format!("accounts/{id}"), &change).await.is(303);
    browser.get(&page).await.has(&["Grace H.", "value=\"9\""]);
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
    let (csrf, key) = (shown.hidden("_csrf"), shown.hidden("_key"));
    let fields = [("_csrf", csrf.as_str()), ("_key", &key), ("amount:number", "3"), ("reason", "once")];
    for _ in 0..2 {
        browser.post(&format!("/console/act/accounts/{}/credits", customer.account), &fields).await.is(303);
    }
    assert_eq!(browser.get(&page).await.text.matches("once").count(), 1);
}

#[tokio::test]
async fn tokens_go_in_and_never_come_out() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let imported = browser
        .press("/console/tokens", "tokens", &[("tokens:secrets", "secret-one\r\nsecret-two\r\n\r\nsecret-one\r\n")])
        .await;
    imported.is(200).has(&["<strong>2</strong> imported", "<strong>1</strong> were known already"]);
    let shown = browser.get("/console/tokens").await;
    assert!(!shown.text.contains("secret-one") && !imported.text.contains("secret-one"));
    let id = shown.text.split("id=\"tok_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    browser.press("/console/tokens", &format!("tokens/tok_{id}/disable"), &[]).await.is(303);
    browser.get("/console/tokens?state=disabled").await.has(&[&id, "Reinstate"]);
    browser.press("/console/tokens", &format!("tokens/tok_{id}"), &[("_method", "DELETE")]).await.is(303);
    assert!(!browser.get("/console/tokens").await.text.contains(&id));
}

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

#[tokio::test]
async fn the_playground_submits_for_the_operators_own_account() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    let fields = [
        ("prompt", "a tune"),
        ("title", ""),
        ("duration_seconds:number", "600"),
        ("instrumental:flag", "true"),
        ("quality", "enterprise"),
    ];
    let submit = [&fields[..], &[("_open", "new"), ("_back", "/console/generations")]].concat();
    let mut last = browser.press("/console/playground", "playground", &submit).await;
    for _ in 0..50 {
        // The system account is made in the background at the gateway's start.
        if last.status == 303 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        last = browser.press("/console/playground", "playground", &submit).await;
    }
    last.is(303);
    browser.get(&last.location).await.is(200).has(&["a tune", "600 s, enterprise, instrumental", "free"]);
}

#[tokio::test]
async fn what_is_not_built_is_said_and_not_shown_as_broken() {
    let app = App::start().await;
    let browser = Browser::logged_in(&app).await;
    browser.get("/console/scaling").await.is(200).has(&["Scaling"]);
    browser.get("/console/dead").await.is(200).has(&["Dead letters"]);
}
