//! A plan as text for a terminal.

use super::model::{Need, Plan};
use std::fmt::Write;

/// Line by line.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let system = &plan.system;
    let mut lines = vec![
        "son1k load plan: computed, not measured".to_owned(),
        format!(
            "{} starts a second each, renders of {} s, {} reads a generation, {} leases a token, CPU used up to {:.0} %",
            system.starts,
            system.render_seconds,
            system.reads,
            system.token_concurrency,
            system.usable * 100.0
        ),
        String::new(),
    ];
    let mut head = format!("  {:<32}", "");
    for size in &plan.sizes {
        put(
            &mut head,
            &format!("{} {}", thousands(f64::from(size.workers)), if size.workers == 1 { "worker" } else { "workers" }),
        );
    }
    head.push_str("           limit  carries workers");
    lines.push(head);
    let mut rate = format!("  {:<32}", "generations a second");
    plan.sizes.iter().for_each(|size| put(&mut rate, &number(size.generations_a_second)));
    lines.push(rate);
    lines.extend(plan.needs.iter().map(need));
    lines.push(String::new());
    for size in &plan.sizes {
        let said = match size.over.as_slice() {
            [] => "within every limit".to_owned(),
            [first] => format!("{first} is over its limit"),
            [first, rest @ ..] => format!("{first} binds first, then {}", rest.join(", ")),
        };
        lines.push(format!("  {:>9}: {said}", thousands(f64::from(size.workers))));
    }
    lines.push(String::new());
    let carried = match plan.carries {
        0 => "which carries not even one worker".to_owned(),
        count => format!("past {} workers", thousands(f64::from(count))),
    };
    lines.push(format!("First bottleneck: {}, {carried}.", plan.first_bottleneck));
    lines.push(format!("The way past it: {}.", plan.way_past));
    lines
}

fn put(line: &mut String, cell: &str) {
    // Writing to memory does not fail.
    let _ = write!(line, " {cell:>15}");
}

fn need(need: &Need) -> String {
    let name = if need.unit.is_empty() { need.name.to_owned() } else { format!("{} ({})", need.name, need.unit) };
    let mut line = format!("  {name:<32}");
    need.of.iter().for_each(|of| put(&mut line, &number(*of)));
    put(&mut line, &need.limit.map_or_else(String::new, number));
    let _ = write!(line, "  {:>15}", need.carries.map_or_else(String::new, |carries| thousands(f64::from(carries))));
    line.trim_end().to_owned()
}

fn number(value: f64) -> String {
    if value >= 100.0 { thousands(value) } else { format!("{value:.1}") }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.ceil());
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
