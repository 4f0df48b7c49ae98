//! The composition root: which adapter stands behind each port, and what each executable is made of.
//!
//! The only crate that knows both modes. It decides nothing about generations: it reads settings, builds parts, joins them, and ends them
//! in order. In reading order:
//!
//! * [`launch`]: what every process does around its service
//! * [`compose`]: from settings to ports
//! * one file an executable or command: [`all_in_one`], [`gateway`], [`worker`], [`token_pool`], [`autoscaler`], [`simulator`], [`migrate`],
//!   [`secrets`], [`admin`], [`top`], [`doctor`], [`demo`], [`load`], [`healthcheck`]
//! * [`command_line`]: what people type

pub mod admin;
pub mod all_in_one;
pub mod autoscaler;
pub mod command_line;
pub mod compose;
pub mod demo;
pub mod doctor;
pub mod gateway;
pub mod healthcheck;
pub mod launch;
pub mod load;
pub mod migrate;
pub mod secrets;
pub mod simulator;
pub mod tier_keys;
pub mod token_pool;
pub mod top;
pub mod up;
pub mod worker;
