//! Any call of `/admin/v1`, answered as the JSON it is: for tools that show answers and do not interpret them.

use super::Admin;
use crate::error::ClientError;
use serde_json::Value;

pub use reqwest::Method;

/// A call. `path` is what follows `/admin/v1/`.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Value>,
}

impl Admin<'_> {
    /// `null` where the answer has no body. A change carries an idempotency key of its own.
    ///
    /// # Errors
    /// As every call: refused, out of reach, too late, or no JSON.
    pub async fn ask(&self, asked: Asked) -> Result<Value, ClientError> {
        let reads = asked.method == Method::GET;
        let mut call = self.transport.call(asked.method, &format!("admin/v1/{}", asked.path));
        // Adding up the books takes as long as it takes.
        call = call.longest(std::time::Duration::from_secs(if asked.path == "ledger/verify" { 300 } else { 30 }));
        for (name, value) in &asked.query {
            call = call.query(name, value);
        }
        if let Some(body) = &asked.body {
            call = call.json(body)?;
        }
        let answer = self.transport.send(if reads { call } else { call.once() }).await?;
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }
}
