//! token-pool
