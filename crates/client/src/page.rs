//! Pages: newest first, followed by an opaque cursor.

use serde::Deserialize;

/// Which page.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    /// 1 to 100; 20 when left out.
    pub limit: Option<u16>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    pub const fn of(limit: u16) -> Self {
        Self { limit: Some(limit), cursor: None }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<String>,
    #[serde(default)]
    pub has_more: bool,
}

impl<T> Page<T> {
    /// What to ask for next; `None` on the last page.
    pub fn next(&self, limit: Option<u16>) -> Option<PageQuery> {
        self.next_cursor.clone().map(|cursor| PageQuery { limit, cursor: Some(cursor) })
    }
}
