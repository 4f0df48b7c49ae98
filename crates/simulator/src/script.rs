//! How the simulator is told to behave: the body of `PUT /_simulator`, parsed once.

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

const SECONDS_LONGEST: f64 = 3_600.0;
const LATENCY_LONGEST: u64 = 60_000;
const RULES_MOST: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 422: the request itself.
    Rejected,
    /// 401.
    Unauthorized,
    /// 402.
    OutOfCredit,
    /// 429 with `Retry-After: 1`.
    RateLimited,
    /// 500.
    ServerError,
    /// The connection closes without an answer; a generation may have been accepted, or not.
    Reset,
    /// No answer, ever; a generation has been accepted.
    Hang,
    /// The answer comes a byte a second; a generation has been accepted.
    SlowDrip,
    /// Accepted, and `failed` at the end of its render.
    RenderFailed,
    /// Accepted, rendered, and never called back.
    LostCallback,
}

/// Which call of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Generate,
    Status,
    Cancel,
    Me,
    /// Not a call to the simulator but one of its own, to a `callback_url`.
    Callback,
}

impl FaultKind {
    /// Kinds that speak of the request or its render have no meaning elsewhere.
    const fn concerns(self, call: Call) -> bool {
        match self {
            Self::Rejected | Self::OutOfCredit | Self::RenderFailed | Self::LostCallback => {
                matches!(call, Call::Generate)
            }
            _ => !matches!(call, Call::Callback),
        }
    }

    /// Whether it decides over the render's course and not over the answer to a call.
    const fn is_of_the_render(self) -> bool {
        matches!(self, Self::RenderFailed | Self::LostCallback)
    }
}

/// One scripted fault. Rules are tried in order and their probabilities add up: two rules of 0.3 and 0.1 fail 40 % of the calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailRule {
    pub kind: FaultKind,
    /// 0 to 1.
    pub probability: f64,
    /// Only where this is part of the prompt (of `generate`) or of the token (of any call).
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// Only these calls; all that the kind concerns when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<Call>>,
}

impl FailRule {
    fn applies(&self, call: Call, token: &str, prompt: Option<&str>) -> bool {
        self.kind.concerns(call)
            && self.calls.as_ref().is_none_or(|calls| calls.contains(&call))
            && self.matching.as_ref().is_none_or(|part| {
                prompt.is_some_and(|prompt| prompt.contains(part.as_str())) || token.contains(part.as_str())
            })
    }
}

/// Seconds that a render takes, uniformly between the two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderSeconds {
    pub min: f64,
    pub max: f64,
}

/// The whole behaviour.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Script {
    pub render_seconds: RenderSeconds,
    /// Before each answer.
    pub latency_ms: u64,
    pub fail: Vec<FailRule>,
    /// Renders that one token may have running; more are refused with 429. `None`: without a bound.
    pub token_concurrency: Option<u32>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            render_seconds: RenderSeconds { min: 2.0, max: 4.0 },
            latency_ms: 20,
            fail: Vec::new(),
            token_concurrency: None,
        }
    }
}

/// What a body changes; what it leaves out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    render_seconds: Option<RenderSeconds>,
    latency_ms: Option<u64>,
    fail: Option<Vec<FailRule>>,
    /// `null` lifts the bound.
    #[serde(default, deserialize_with = "present")]
    token_concurrency: Option<Option<u32>>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Script {
    /// This script with a body's changes.
    ///
    /// # Errors
    /// One sentence that says which rule the body breaks.
    pub(crate) fn changed_by(&self, body: &[u8]) -> Result<Self, String> {
        let change: Change = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let script = Self {
            render_seconds: change.render_seconds.unwrap_or(self.render_seconds),
            latency_ms: change.latency_ms.unwrap_or(self.latency_ms),
            fail: change.fail.unwrap_or_else(|| self.fail.clone()),
            token_concurrency: change.token_concurrency.unwrap_or(self.token_concurrency),
        };
        script.check()?;
        Ok(script)
    }

    fn check(&self) -> Result<(), String> {
        let RenderSeconds { min, max } = self.render_seconds;
        if !(0.0..=SECONDS_LONGEST).contains(&min) || !(min..=SECONDS_LONGEST).contains(&max) {
            return Err(format!("render_seconds: min and max must be 0 to {SECONDS_LONGEST}, min not above max"));
        }
        if self.latency_ms > LATENCY_LONGEST {
            return Err(format!("latency_ms: must be at most {LATENCY_LONGEST}"));
        }
        if self.fail.len() > RULES_MOST {
            return Err(format!("fail: must have at most {RULES_MOST} rules"));
        }
        if self.fail.iter().any(|rule| !(0.0..=1.0).contains(&rule.probability)) {
            return Err("fail: each probability must be 0 to 1".to_owned());
        }
        if self.token_concurrency == Some(0) {
            return Err("token_concurrency: must be at least 1, or null".to_owned());
        }
        Ok(())
    }

    /// What goes wrong with the answer to this call, if anything.
    pub(crate) fn fault(&self, rng: &mut StdRng, call: Call, token: &str, prompt: Option<&str>) -> Option<FaultKind> {
        if self.fail.is_empty() {
            return None;
        }
        let mut left: f64 = rng.random();
        for rule in self.fail.iter().filter(|rule| !rule.kind.is_of_the_render()) {
            if rule.applies(call, token, prompt) {
                if left < rule.probability {
                    return Some(rule.kind);
                }
                left -= rule.probability;
            }
        }
        None
    }

    /// Whether a fault of the render's course befalls a generation that is being accepted.
    pub(crate) fn befalls(&self, rng: &mut StdRng, kind: FaultKind, token: &str, prompt: &str) -> bool {
        self.fail
            .iter()
            .filter(|rule| rule.kind == kind && rule.applies(Call::Generate, token, Some(prompt)))
            .any(|rule| rng.random::<f64>() < rule.probability)
    }

    /// How long the next render takes.
    pub(crate) fn render_ms(&self, rng: &mut StdRng) -> u32 {
        let RenderSeconds { min, max } = self.render_seconds;
        let seconds = if max > min { rng.random_range(min..=max) } else { min };
        // `check` keeps it under an hour.
        (seconds * 1_000.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn what_a_body_leaves_out_stays() {
        let script = Script::default()
            .changed_by(br#"{"render_seconds":{"min":1,"max":1},"token_concurrency":3}"#)
            .and_then(|script| script.changed_by(br#"{"latency_ms":0}"#))
            .unwrap();
        assert_eq!((script.render_seconds.max, script.token_concurrency, script.latency_ms), (1.0, Some(3), 0));
        assert_eq!(script.changed_by(br#"{"token_concurrency":null}"#).unwrap().token_concurrency, None);
    }

    #[test]
    fn probabilities_add_up_over_the_rules_that_apply() {
        let body = br#"{"fail":[{"kind":"rate_limited","probability":0.3},{"kind":"server_error","probability":0.1},
            {"kind":"reset","probability":1,"match":"nobody"},{"kind":"render_failed","probability":1}]}"#;
        let script = Script::default().changed_by(body).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let mut count =
            |kind| (0..10_000).filter(|_| script.fault(&mut rng, Call::Status, "t", None) == Some(kind)).count();
        assert!((2_700..3_300).contains(&count(FaultKind::RateLimited)));
        assert!((800..1_200).contains(&count(FaultKind::ServerError)));
        assert_eq!(count(FaultKind::Reset), 0);
        assert_eq!(count(FaultKind::RenderFailed), 0);
    }
}
