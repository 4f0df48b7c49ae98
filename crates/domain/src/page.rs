//! Pages: newest first, keyed to the id, so that they neither skip nor repeat while rows arrive.

use uuid::Uuid;

/// The most rows a page may have.
pub const LARGEST: u16 = 100;
/// What a page has when nobody says.
pub const USUAL: u16 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// 1 to [`LARGEST`].
    pub limit: u16,
    /// The last id of the page before; rows older than it follow.
    pub after: Option<Uuid>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: USUAL, after: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The id to go on from; `None` on the last page.
    pub next: Option<Uuid>,
}

impl<T> Page<T> {
    /// A page out of `limit + 1` rows as read: the row too many only says that there is more.
    pub fn from_rows(mut rows: Vec<T>, limit: u16, id: impl Fn(&T) -> Uuid) -> Self {
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next = if more { rows.last().map(id) } else { None };
        Self { items: rows, next }
    }

    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }
}
