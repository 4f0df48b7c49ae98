//! `/admin/v1`: the operators' calls. Every change is made through [`change`], which replays and audits it.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod change;
pub(crate) mod credits;
pub(crate) mod dead;
pub(crate) mod generations;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod queue;
pub(crate) mod scaling;
mod sealed;
pub(crate) mod tokens;
pub(crate) mod workers;

use crate::problem::ApiError;
use std::str::FromStr;

/// An id of a path; a malformed one is nobody's.
fn id<T: FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::not_found())
}
