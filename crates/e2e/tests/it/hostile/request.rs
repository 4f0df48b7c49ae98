//! One hostile request: bytes, but for what each system names its own way.

/// Stands in values, which no refusal may repeat.
pub(crate) const MARK: &str = "never-repeat-me";

/// Who and what the requests name in one system.
pub(crate) struct Cast {
    pub authority: String,
    pub customer: String,
    pub operator: String,
    pub account: String,
    pub generation: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Who {
    Customer,
    Operator,
    /// Whatever the other headers say.
    Nobody,
}

#[derive(Clone)]
pub(crate) struct Request {
    pub name: String,
    who: Who,
    method: Vec<u8>,
    /// `{account}` and `{generation}` stand for the system's own.
    target: String,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    /// The whole request, where it is none that the parts could make; `{authority}` and `{customer}` stand for the system's own.
    whole: Option<String>,
    /// It breaks in the middle of its body: whether the answer or the close comes first is chance.
    pub may_hang_up: bool,
}

impl Request {
    pub(crate) fn of(who: Who, method: &str, target: &str) -> Self {
        Self {
            name: format!("{method} {target}"),
            who,
            method: method.into(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            whole: None,
            may_hang_up: false,
        }
    }

    /// A submission with this body.
    pub(crate) fn submission(body: impl Into<Vec<u8>>) -> Self {
        Self::of(Who::Customer, "POST", "/v1/generations").json(body)
    }

    /// Sent as it stands.
    pub(crate) fn whole(name: &str, bytes: String) -> Self {
        let may_hang_up = name.starts_with("a chunk ");
        Self { whole: Some(bytes), name: name.to_owned(), may_hang_up, ..Self::of(Who::Nobody, "", "") }
    }

    pub(crate) fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.name = format!("{} [{name}: {}]", self.name, cut(&String::from_utf8_lossy(value)));
        self.headers.push((name.into(), value.to_vec()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.name = format!("{} {}", self.name, cut(&String::from_utf8_lossy(&self.body)));
        self
    }

    pub(crate) fn json(self, body: impl Into<Vec<u8>>) -> Self {
        let mut request = self.body(body);
        request.headers.push((b"content-type".into(), b"application/json".into()));
        request
    }

    /// Whether it breaks HTTP itself: what refuses it then knows nothing of problems.
    pub(crate) const fn is_unframed(&self) -> bool {
        self.whole.is_some()
    }

    pub(crate) fn bytes(&self, cast: &Cast) -> Vec<u8> {
        let own = |text: &str| {
            text.replace("{account}", &cast.account)
                .replace("{generation}", &cast.generation)
                .replace("{authority}", &cast.authority)
                .replace("{customer}", &cast.customer)
        };
        if let Some(whole) = &self.whole {
            return own(whole).into_bytes();
        }
        let mut bytes = self.method.clone();
        bytes.extend(
            format!(" {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", own(&self.target), cast.authority).bytes(),
        );
        let key = match self.who {
            Who::Customer => Some(&cast.customer),
            Who::Operator => Some(&cast.operator),
            Who::Nobody => None,
        };
        bytes.extend(key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default().bytes());
        if !self.body.is_empty() || self.method == b"POST" || self.method == b"PATCH" {
            bytes.extend(format!("content-length: {}\r\n", self.body.len()).bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
