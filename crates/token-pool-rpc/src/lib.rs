//! token-pool-rpc
