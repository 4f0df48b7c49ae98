//! A song from a sentence, as the operator's own account: it pays nothing, and it goes the whole way that a customer's goes.

use super::session::Session;
use super::shell::{self, change, heading};
use crate::core::Core;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::AccountId;
use domain::page::PageRequest;
use domain::ports::generations::{GenerationFilter, Scope};
use domain::request::{DURATION_USUAL, PROMPT_LONGEST, TITLE_LONGEST};
use domain::tier::{Quality, Tier};
use maud::html;
use uuid::Uuid;

const HERE: &str = "/console/playground";

pub(super) async fn page(core: web::Data<Core>, session: Session, request: HttpRequest) -> HttpResponse {
    let own = Scope::Account(AccountId::from_uuid(Uuid::nil()));
    let page = PageRequest { limit: 10, after: None };
    let lately = core.call(core.backends.generations.list(own, &GenerationFilter::default(), page)).await;
    let now = core.backends.clock.now();
    let longest = core.settings.tiers.of(Tier::System).longest_seconds;
    let body = html! {
        (heading("Playground", &html! {}))
        (shell::said(&request))
        section.card {
            form.fields method="post" action="/console/act/playground" {
                (change(&session, "/console/generations", "submitted"))
                input type="hidden" name="_open" value="new";
                label.wide { span { "Prompt" } textarea name="prompt" rows="3" required maxlength=(PROMPT_LONGEST) placeholder="lofi beat to study to, rain on the window" {} }
                label { span { "Title" } input name="title" maxlength=(TITLE_LONGEST); }
                label { span { "Style" } input name="style"; }
                label { span { "Seconds" } input type="number" name="duration_seconds:number" min="1" max=(longest) value=(DURATION_USUAL); }
                label { span { "Quality" } select name="quality" { @for quality in Quality::ALL { option value=(quality.name()) { (quality.name()) } } } }
                label.check { input type="checkbox" name="instrumental:flag" value="true"; span { "Instrumental" } }
                details.wide { summary { "Lyrics" } label { span { "Lyrics" } textarea name="lyrics" rows="4" {} } }
                button.primary type="submit" { "Make it" }
            }
        }
        h2 { "Made here lately" }
        @match &lately {
            Err(error) => (shell::missing("The list", error)),
            Ok(page) if page.items.is_empty() => p.empty { "Nothing yet." },
            Ok(page) => (super::generations::table(&page.items, now)),
        }
    };
    shell::page("Playground", HERE, &session, &body)
}
