//! Who comes in: the token endpoint, enforcement, clocks, and a registry that verifies tokens itself.

mod accounts;
mod audit;
mod clients;
mod endpoint;
mod enforcement;
mod several_doors;
mod verifying;
mod visibility;
