//! HTML out of text: escaping, the little Markdown that descriptions use, and the shell of every page.

/// Text as it may stand in HTML, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Paragraphs and lists, with `code`, **strong** and [links](to) in them.
pub(super) fn prose(text: &str) -> String {
    let mut html = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        if block.starts_with("* ") {
            let items = block.split("\n* ").map(|item| item.trim_start_matches("* "));
            let items: Vec<String> = items.map(|item| format!("<li>{}</li>", inline(item))).collect();
            html.push_str(&format!("<ul>{}</ul>", items.concat()));
        } else {
            html.push_str(&format!("<p>{}</p>", inline(block)));
        }
    }
    html
}

pub(super) fn inline(text: &str) -> String {
    let mut html = String::new();
    // Every second piece stood between backticks and is left as it is.
    for (index, piece) in text.split('`').enumerate() {
        if index % 2 == 1 {
            html.push_str(&format!("<code>{}</code>", escape(piece)));
            continue;
        }
        for (index, piece) in piece.split("**").enumerate() {
            let piece = links(&escape(piece));
            html.push_str(&if index % 2 == 1 { format!("<strong>{piece}</strong>") } else { piece });
        }
    }
    html
}

fn links(text: &str) -> String {
    let Some((before, rest)) = text.split_once('[') else { return text.to_owned() };
    let Some((label, (address, after))) =
        rest.split_once("](").and_then(|(label, rest)| Some((label, rest.split_once(')')?)))
    else {
        return text.to_owned();
    };
    // A page of the repository is none of this server's.
    let link =
        if address.starts_with("https://") { format!("<a href=\"{address}\">{label}</a>") } else { label.to_owned() };
    format!("{before}{link}{}", links(after))
}

pub(super) fn shell(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{} API</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"stylesheet\" href=\"/docs/style.css\">\
         </head><body>{body}</body></html>",
        escape(title)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_never_markup() {
        assert_eq!(prose("a <b> & `x<y>` \"q\""), "<p>a &lt;b&gt; &amp; <code>x&lt;y&gt;</code> &quot;q&quot;</p>");
    }

    #[test]
    fn lists_links_and_strong_words() {
        assert_eq!(
            prose("**A** b\n\n* one\n* [two](https://x.example)"),
            "<p><strong>A</strong> b</p><ul><li>one</li><li><a href=\"https://x.example\">two</a></li></ul>"
        );
        assert_eq!(inline("see [limits](limits.md)"), "see limits");
        assert_eq!(inline("an [open"), "an [open");
    }
}
