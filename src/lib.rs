//! Portreeve, a front door for container registries: every push and pull goes through it, and it keeps an exact,
//! durable record of what the registry holds.
//!
//! # Layout
//!
//! Floors from the ground up. A module imports only what its line allows; a test reads this map and the imports.
//!
//! ```text
//! oci        may use  nothing
//! clock      may use  nothing
//! files      may use  nothing
//! suggestion may use  nothing
//! telemetry  may use  suggestion
//! config     may use  suggestion
//! store      may use  oci clock telemetry
//! registry   may use  oci clock telemetry
//! auth       may use  oci clock files telemetry store registry
//! search     may use  oci clock telemetry store
//! sync       may use  oci clock telemetry store registry
//! door       may use  oci clock files telemetry store auth registry sync
//! plugins    may use  oci clock suggestion telemetry store auth registry sync door
//! web        may use  oci clock telemetry store auth registry search sync
//! server     may use  oci clock files suggestion telemetry config store auth registry search sync door plugins web
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
//!
//! # Words
//!
//! The terms are those of the OCI specifications, of the token specification and of RFC 7519. Ours have one meaning each:
//!
//! - *door*: the proxy that clients talk to.
//! - *registry*: the upstream, one logical registry with one or several interchangeable backends.
//! - *store*: the record of what the registry holds.
//! - *change*: one fact about the registry: a manifest was put, a tag or a manifest deleted, a repository is gone.
//! - *event*: a change as stored, with sequence number, time, actor and source.
//! - *source*: how a change was learnt. `observed`: the door carried it; `verified`: the registry was asked; `swept`: a sweep
//!   found it; `hinted`: a hint led to it.
//! - *intent*: the durable note that the door is about to carry a write. Open intents are the queue: one that waits for
//!   another is carried once that is over.
//! - *incarnation*: one life of a door among several that share a record; *adoption*: another door takes it for dead.
//! - *lease*: the right of one door to sweep, to verify, to follow hints, or to read images, for all of them.
//! - *verify*: to ask the registry about one reference and record the difference.
//! - *sweep*: to walk the catalog and the lists of tags, and verify whatever differs.
//! - *hint*: an untrusted suggestion to verify one reference, such as a registry's notification.
//! - *exchange*: one request with its response, as plugins see it.
//! - *plugin*: one concern of the door, in one file.
//!
//! # Promises
//!
//! Comments and tests cite them by these names.
//!
//! - **P1** Recorded before acknowledged: when a client hears of the registry's success for a manifest PUT or DELETE, the
//!   store holds it durably.
//! - **P2** No outcome stays unknown: an intent is durable before its write is forwarded, and is removed by the transaction
//!   that records the outcome. Whatever is left is verified.
//! - **P3** A failed listing never removes anything: only the registry's own "not there" about that very reference does, and
//!   only if nothing touched the reference since the question.
//! - **P4** Of pushes that race for one tag, the store ends with the digest that the registry names.
//! - **P5** Convergence: sweeps make the store equal to the registry, without a restart and without help. A mass
//!   disappearance that the door did not carry is believed only when it lasts, or when the operator says so.
//! - **P6** History is never rewritten: corrections are new events.
//! - **P7** Blobs are streamed: memory is bounded for any size of layer.
//! - **P8** What the door refuses never reaches the registry, and what it cannot parse it refuses: the door and the registry
//!   never read one path in two ways.
//! - **P9** Clocks do not matter: a token of the door's is judged by the door's clock alone; tokens for a registry are made
//!   in the registry's time.
//!
//! # Scenarios
//!
//! A test whose name begins with one of these keys shows what a scenario of Portus's users asks for:
//!
//! - `s1` to `s15`, sweeps: what listings leave out, get wrong or answer late; nothing is removed without a direct answer (s2,
//!   s5 to s7, s11, s12), and pages of every kind are read to their end (s13).
//! - `n1` to `n6`, hints: each notification counts once (n1), whatever it names (n2, n3); what is malformed, forged or
//!   interrupted does no harm (n4 to n6).
//! - `r1` to `r6`, observed writes: pushes over a tag (r1, r6), the same image in several repositories (r2), deletions by
//!   digest (r4), tags that differ by case (r5).
//! - `k1` to `k10`, tokens: wrong credentials (k1), what is granted and what is not (k2 to k6), clocks (k7), pushes that
//!   outlive their token (k8), changed keys (k9), floods of logins (k10).

// Tests share files with the fuzz targets, for which their items are public.
#![cfg_attr(not(test), warn(unreachable_pub))]

pub mod auth;
pub mod clock;
pub mod config;
pub mod door;
pub mod files;
pub mod oci;
pub mod plugins;
pub mod registry;
pub mod search;
pub mod server;
pub mod store;
mod suggestion;
pub mod sync;
pub mod telemetry;
pub mod web;
