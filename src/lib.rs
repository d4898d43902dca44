//! Portreeve, a front door for container registries: every push and pull goes through it, and it keeps an exact,
//! durable record of what the registry holds.
//!
//! # The house
//!
//! Floors from the ground up. A module imports only what its line allows; a test reads this map and the imports.
//!
//! ```text
//! oci        may use  nothing
//! clock      may use  nothing
//! files      may use  nothing
//! telemetry  may use  nothing
//! config     may use  nothing
//! store      may use  oci clock telemetry
//! registry   may use  oci clock telemetry
//! auth       may use  oci clock files telemetry store registry
//! sync       may use  oci clock telemetry store registry
//! door       may use  oci clock files telemetry store auth registry sync
//! plugins    may use  oci clock telemetry store auth registry sync door
//! web        may use  oci clock telemetry store auth registry sync
//! server     may use  oci clock files telemetry config store auth registry sync door plugins web
//! ```
//!
//! # The life of a push
//!
//! 1. `door` accepts a connection and reads a request line; [`oci::Route`] reads it in exactly one way or refuses it.
//! 2. Blobs are streamed to a backend that `registry` names, and back.
//! 3. A manifest is read whole. The plugins see it, in the order of the table in `plugins`; the last of them, the
//!    observer, hands it to [`sync::Carrier`].
//! 4. The carrier notes an intent in the `store`, has `registry` carry the write, and settles: the change is recorded
//!    and the intent removed in one durable transaction. Only then does the client hear of its success.
//! 5. What has no known outcome is asked about by [`sync::Verifier`] until it cannot change any more.
//!
//! The one thing that must stay true at each of these steps: when a client hears "201", the store says so too.

pub mod auth;
pub mod clock;
pub mod config;
pub mod door;
pub mod files;
pub mod oci;
pub mod plugins;
pub mod registry;
pub mod server;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod web;
