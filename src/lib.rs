//! Portreeve, a front door for container registries: every push and pull goes through it, and it keeps an exact,
//! durable record of what the registry holds.

pub mod clock;
pub mod config;
pub mod oci;
pub mod store;
pub mod telemetry;
pub mod web;
