//! Who comes in: the token endpoint, enforcement, clocks, and a registry that verifies tokens itself.

mod accounts;
mod clients;
mod endpoint;
mod enforcement;
mod guessing;
mod several_doors;
mod verifying;
