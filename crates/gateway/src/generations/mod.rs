//! `/v1/generations`: one call, one file.

pub(crate) mod cancel;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod place;
pub(crate) mod prefer;
pub(crate) mod show;
pub(crate) mod submit;

use crate::core::Core;
use crate::problem::ApiError;
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::generations::Scope;

/// The generation that a path names, if this scope may see it. Malformed, unknown and somebody else's are one answer.
pub(crate) async fn find(core: &Core, scope: Scope, id: &str) -> Result<Generation, ApiError> {
    let id: GenerationId = id.parse().map_err(|_| ApiError::not_found())?;
    let found = core.call(core.reader.read(id)).await?;
    found.filter(|generation| scope.sees(generation.account_id)).ok_or_else(ApiError::not_found)
}
