//! The ports on PostgreSQL, RabbitMQ and Redis. It decides nothing that the domain decides, and holds no state of its own.

mod accounts;
mod books;
mod clock;
mod failure;
mod gateways;
mod generations;
mod ledger;
mod migrations;
pub mod rabbitmq;
pub mod redis;
mod rows;
mod scaling;
mod tokens;
mod work;

pub use ledger::{ConnectError, Ledger, PLANNED, Settings};
pub use migrations::{MigrateError, Migrated, SchemaError, migrate};
