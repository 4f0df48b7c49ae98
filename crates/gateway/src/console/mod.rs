//! The operators' console at `/console`: pages made here, of what the ports say, live without a reload and useful without a script.
//!
//! Reads ask the same ports as `/admin/v1`. A change is no code of its own: its form is turned into the `/admin/v1` call that it stands
//! for and goes through the same router, parser, audit and replay ([`act`]). Nothing comes from the internet, nothing is built.
//!
//! Not here: roles (whoever has the admin key may do everything), settings, and graphs of more than the last half hour (Grafana).

mod accounts;
mod act;
mod alerts;
mod answers;
mod assets;
mod audit;
mod dead;
mod form;
mod gate;
mod generation;
mod generations;
mod history;
mod login;
mod overview;
mod playground;
mod scaling;
mod session;
mod shell;
mod spark;
mod tokens;
mod why;
mod words;

pub(crate) use gate::{concerns, gate};

use crate::app::Mount;
use domain::api_key::ApiKey;
use history::History;
use secrecy::SecretString;
use session::Sessions;

/// What the console keeps between requests.
pub(crate) struct Console {
    sessions: Sessions,
    pub(crate) history: History,
}

impl Console {
    pub(crate) fn new(pepper: &SecretString, admin_key: &ApiKey) -> Self {
        Self { sessions: Sessions::new(pepper, admin_key), history: History::default() }
    }
}

/// Its routes. Changes are not among them: [`act`] sends those to `/admin/v1`.
pub(crate) fn mount(m: &mut Mount<'_, '_>) {
    m.at("/console").get(overview::page).only("GET, HEAD");
    m.at("/console/login").get(login::page).post(login::enter).only("GET, HEAD, POST");
    m.at("/console/logout").post(login::leave).only("POST");
    m.at("/console/assets/{name}").get(assets::serve).only("GET, HEAD");
    m.at("/console/generations").get(generations::page).only("GET, HEAD");
    m.at("/console/generations/{id}").get(generation::page).only("GET, HEAD");
    m.at("/console/accounts").get(accounts::list).only("GET, HEAD");
    m.at("/console/accounts/{id}").get(accounts::one).only("GET, HEAD");
    m.at("/console/tokens").get(tokens::page).only("GET, HEAD");
    m.at("/console/audit").get(audit::page).only("GET, HEAD");
    m.at("/console/playground").get(playground::page).only("GET, HEAD");
    // The customers' own call: it may be mounted on another port.
    m.at("/console/act/playground").post(crate::generations::submit::submit).only("POST");
}
