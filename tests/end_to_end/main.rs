//! The real door in front of real registries, from the outside: what the README promises, and what happens when things
//! go wrong.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod faults;
mod protocol;
mod stopping;
mod tls;
