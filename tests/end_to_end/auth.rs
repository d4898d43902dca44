//! Who comes in: the token endpoint, enforcement, clocks, and a registry that verifies tokens itself.

mod clients;
mod endpoint;
mod enforcement;
mod verifying;
