//! Server-sent events out of bytes as they arrive (HTML Living Standard, "Interpreting an event stream").
//!
//! Knows no network. `retry:` is ignored: when to come back is this client's own rule.

/// The most one event may have, in bytes.
pub(crate) const LARGEST: usize = 256 * 1024;

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RawEvent {
    pub id: Option<String>,
    /// `message` where the stream named none.
    pub name: String,
    pub data: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Oversized;

#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    id: Option<String>,
    name: String,
    data: String,
    after_cr: bool,
}

impl Parser {
    /// Takes what arrived and returns the events that it completes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<RawEvent>, Oversized> {
        let mut events = Vec::new();
        for &byte in bytes {
            // CR, LF and CRLF each end one line.
            let second_half = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            match byte {
                _ if second_half => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > LARGEST {
                return Err(Oversized);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<RawEvent> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            let data = data.strip_suffix('\n')?.to_owned();
            let name = if name.is_empty() { "message".to_owned() } else { name };
            return Some(RawEvent { id: self.id.clone(), name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment (no field name), `retry`, and whatever the future brings.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, name: &str, data: &str) -> RawEvent {
        RawEvent { id: id.map(Into::into), name: name.into(), data: data.into() }
    }

    #[test]
    fn the_standard_s_examples_read_as_it_says() {
        let text =
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata: lost";
        let events = Parser::default().feed(text.as_bytes()).unwrap();
        assert_eq!(
            events,
            [
                event(Some("1"), "message", "first event"),
                event(Some(""), "message", "second event"),
                event(Some(""), "message", " third event"),
            ]
        );
        assert_eq!(Parser::default().feed(b"data\n\ndata\ndata\n\ndata:").unwrap().len(), 2);
    }

    #[test]
    fn events_come_out_however_the_bytes_are_cut_and_lines_end() {
        let text = "event: status\r\nid: 2\r\ndata: {\"a\":1}\r\n\r\nevent: done\rdata: {\r\ndata: }\n\n";
        let whole = [event(Some("2"), "status", "{\"a\":1}"), event(Some("2"), "done", "{\n}")];
        for cut in 1..text.len() {
            let mut parser = Parser::default();
            let events: Vec<_> = text.as_bytes().chunks(cut).flat_map(|chunk| parser.feed(chunk).unwrap()).collect();
            assert_eq!(events, whole, "cut {cut}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        let line = vec![b'x'; LARGEST];
        assert_eq!(parser.feed(&line), Ok(Vec::new()));
        assert_eq!(parser.feed(b"x"), Err(Oversized));
    }
}
