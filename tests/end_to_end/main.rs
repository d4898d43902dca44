//! The real door in front of real registries, from the outside: what README.md and config/README.md promise, and what happens when things
//! go wrong.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test ends where something is not as it should be, and says so"
)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod answers;
mod api;
mod api_fuzzing;
mod artifacts;
mod auth;
mod check;
mod clients;
mod clock;
mod commands;
mod configuration;
mod copies;
mod crash;
mod database_failures;
mod day_in_a_box;
mod events;
mod failover;
mod faults;
mod first_start;
mod health;
mod hints;
mod images;
mod limits;
mod logs;
mod memory;
mod metrics;
mod observed;
mod page_answers;
mod pages;
mod postgres;
mod protocol;
mod quickstart;
mod registry_tls;
mod rolling;
mod several_doors;
mod standstill;
mod stopping;
mod storm;
mod sweeps;
mod tag_deletion;
mod tls;
mod undelete;
