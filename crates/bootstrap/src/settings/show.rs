//! The settings as people may see them: a TOML text in the manual's order, secrets masked.

use super::fields::masked_url;
use super::layers::{SECRETS, Values, manual};
use std::fmt::Write;

pub(super) fn show(values: &Values) -> String {
    let mut text = String::new();
    let mut within = None;
    for (table, key) in manual() {
        if table != within {
            within = table;
            let _ = write!(text, "\n[{}]\n", table.unwrap_or_default());
        }
        let path = table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}"));
        let value = values.get(&path);
        let value = match value {
            "" => "",
            url if path.ends_with("_url") => &masked_url(url),
            _ if SECRETS.contains(&path.as_str()) => "***",
            plain => plain,
        };
        let bare = value.parse::<f64>().is_ok() || ["true", "false"].contains(&value);
        let _ = if bare {
            writeln!(text, "{key} = {value}")
        } else {
            writeln!(text, "{key} = {}", serde_json::Value::from(value))
        };
    }
    text
}
