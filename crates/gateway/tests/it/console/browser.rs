//! A browser without a script: it keeps its cookie, sends a form as the page made it, and follows no redirect by itself.

use crate::app::{ADMIN_KEY, App};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder, StatusCode, redirect};

pub(super) struct Browser {
    http: reqwest::Client,
    url: String,
    pub(super) cookie: Option<String>,
}

pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) location: String,
    pub(super) policy: String,
    pub(super) set_cookie: Option<String>,
    pub(super) text: String,
}

/// A part of a form that has a name.
struct Control {
    name: String,
    /// What is sent when nobody touches it; `None`: nothing.
    value: Option<String>,
    /// A person cannot change it.
    hidden: bool,
    /// What can be chosen; empty: anything.
    options: Vec<String>,
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let after = tag.split_once(&format!(" {name}=\""))?.1;
    after.split_once('"').map(|(value, _)| unescaped(value))
}

/// `markup` begins right after the tag's `<` and name.
fn control(kind: &str, markup: &str) -> Option<Control> {
    let (tag, rest) = markup.split_once('>').unwrap();
    let name = attribute(tag, "name")?;
    let content = || rest.split_once(&format!("</{kind}>")).unwrap().0;
    let kind_of_input = attribute(tag, "type").unwrap_or_default();
    let mut options = Vec::new();
    let value = match kind {
        "textarea" => Some(unescaped(content())),
        "select" => {
            let tags: Vec<&str> = content().split("<option").skip(1).map(|it| it.split_once('>').unwrap().0).collect();
            options = tags.iter().map(|tag| attribute(tag, "value").unwrap()).collect();
            let selected = tags.iter().position(|tag| tag.ends_with(" selected")).unwrap_or(0);
            options.get(selected).cloned()
        }
        "input" if kind_of_input == "checkbox" && !tag.contains(" checked") => {
            options.extend(attribute(tag, "value"));
            None
        }
        "input" => Some(attribute(tag, "value").unwrap_or_default()),
        _ => {
            options.extend(attribute(tag, "value"));
            None
        }
    };
    Some(Control { name, value, hidden: kind_of_input == "hidden", options })
}

fn controls(form: &str) -> Vec<Control> {
    let tags = form.split('<').skip(1).map(|tag| tag.as_ptr() as usize - form.as_ptr() as usize);
    let named = tags.filter_map(|at| {
        let kinds = ["input", "select", "textarea", "button"];
        let kind = kinds.into_iter().find(|kind| form[at..].starts_with(kind))?;
        control(kind, &form[at + kind.len()..])
    });
    named.collect()
}

impl Seen {
    #[track_caller]
    pub(super) fn has(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.text.contains(word), "{word:?} is missing: {}", self.text);
        }
        self
    }

    #[track_caller]
    pub(super) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// The session's own token, which each form carries.
    pub(super) fn csrf(&self) -> String {
        let fields = self.form("/console/logout", &[]);
        fields.into_iter().find(|(name, _)| name == "_csrf").unwrap().1
    }

    /// What a browser sends when somebody fills in `typed` and presses the form of this action that has a place for all of it.
    #[track_caller]
    pub(super) fn form(&self, action: &str, typed: &[(&str, &str)]) -> Vec<(String, String)> {
        let begins = format!(" method=\"post\" action=\"{action}\"");
        let forms = self.text.split("<form").skip(1).map(|form| form.split_once("</form>").unwrap().0);
        let forms: Vec<&str> = forms.filter(|form| form.split_once('>').unwrap().0.contains(&begins)).collect();
        let fits = |form: &&str| {
            let controls = controls(form);
            typed.iter().all(|(name, _)| controls.iter().any(|control| control.name == *name && !control.hidden))
        };
        let count = forms.len();
        let form = forms.into_iter().find(fits);
        let form = form.unwrap_or_else(|| panic!("none of {count} forms to {action} takes {typed:?}: {}", self.text));
        let sent = controls(form).into_iter().filter_map(|control| {
            let typed = typed.iter().find(|(name, _)| *name == control.name).map(|(_, value)| (*value).to_owned());
            if let Some(typed) = &typed
                && !control.options.is_empty()
            {
                // Of two buttons of one name the one that is pressed is sent.
                let offered = control.options.contains(typed);
                return offered.then(|| (control.name, typed.clone()));
            }
            Some((control.name, typed.or(control.value)?))
        });
        let sent: Vec<(String, String)> = sent.collect();
        for (name, value) in typed {
            assert!(sent.iter().any(|(sent, _)| sent == name), "{action} does not offer {value:?} as {name}");
        }
        sent
    }
}

impl Browser {
    pub(super) fn at(app: &App) -> Self {
        Self::at_url(&app.url)
    }

    pub(super) fn at_url(url: &str) -> Self {
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { http, url: url.to_owned(), cookie: None }
    }

    pub(super) async fn logged_in(app: &App) -> Self {
        Self::logged_in_at(&app.url).await
    }

    pub(super) async fn logged_in_at(url: &str) -> Self {
        let mut browser = Self::at_url(url);
        let page = browser.get("/console/login?next=/console/tokens").await;
        let fields = page.form("/console/login", &[("key", ADMIN_KEY)]);
        let seen = browser.post("/console/login", &fields).await;
        assert_eq!((seen.status.as_u16(), seen.location.as_str()), (303, "/console/tokens"), "{}", seen.text);
        browser.cookie = seen.set_cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        browser
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    pub(super) async fn send(request: RequestBuilder) -> Seen {
        let response = request.send().await.unwrap();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, set_cookie) = (header(LOCATION).unwrap_or_default(), header(SET_COOKIE));
        let policy =
            response.headers().get_all("content-security-policy").iter().map(|v| v.to_str().unwrap()).collect();
        Seen { status: response.status(), location, policy, set_cookie, text: response.text().await.unwrap() }
    }

    pub(super) async fn get(&self, path: &str) -> Seen {
        Self::send(self.request(Method::GET, path)).await
    }

    pub(super) fn sends<T: AsRef<str>>(&self, path: &str, fields: &[(T, T)]) -> RequestBuilder {
        let mut url = reqwest::Url::parse("http://x").unwrap();
        url.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
        let body = url.query().unwrap_or_default().to_owned();
        self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    /// Any fields to any place, whatever a page shows.
    pub(super) async fn post<T: AsRef<str>>(&self, path: &str, fields: &[(T, T)]) -> Seen {
        Self::send(self.sends(path, fields)).await
    }

    /// Presses a form of a page, with what a person types into it.
    pub(super) async fn press(&self, page: &str, call: &str, typed: &[(&str, &str)]) -> Seen {
        let shown = self.get(page).await;
        shown.is(200);
        self.press_on(&shown, call, typed).await
    }

    /// As [`Self::press`], on a page that is open already.
    pub(super) async fn press_on(&self, shown: &Seen, call: &str, typed: &[(&str, &str)]) -> Seen {
        let action = format!("/console/act/{call}");
        self.post(&action, &shown.form(&action, typed)).await
    }
}
