//! The account behind the key: its limits, its credits and their ledger.

use crate::Client;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use crate::types::{Account, CreditEntry};

impl Client {
    pub async fn account(&self) -> Result<Account, ClientError> {
        self.transport.json(self.transport.get("v1/account")).await
    }

    pub async fn entries(&self, page: &PageQuery) -> Result<Page<CreditEntry>, ClientError> {
        self.transport.json(self.transport.get("v1/account/ledger").page(page)).await
    }
}
