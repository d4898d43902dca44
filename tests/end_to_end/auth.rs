//! Who comes in: the token endpoint, enforcement, clocks, and a registry that verifies tokens itself.

pub(crate) mod accounts;
mod audit;
pub(crate) mod catalog;
mod challenges;
pub(crate) mod clients;
mod disabling;
mod endpoint;
mod enforcement;
mod guessing;
mod leaps;
mod listing;
mod lockouts;
mod reasons;
mod self_service;
mod sessions;
mod several_doors;
mod uploads;
mod verifying;
mod visibility;
