//! What the fuzz targets and the property tests of `src/oci` both check. The property tests include the modules by
//! path, so that a check is written once and neither the library nor its tests depend on the fuzzer.
//!
//! To run a target (needs a nightly toolchain and `cargo install cargo-fuzz`), from the top of the repository:
//!
//! ```text
//! cargo +nightly fuzz run route --fuzz-dir tests/fuzz
//! cargo +nightly fuzz run manifest --fuzz-dir tests/fuzz
//! ```
//!
//! Only the seeds (`corpus/*/seed-*`) are kept in the repository.

use portreeve::oci;

// Pure and the door's own alone, so that they are not public there.
#[path = "../../../src/door/link_header.rs"]
mod link_header;
#[path = "../../../src/door/uri_reference.rs"]
mod uri_reference;

pub mod gate;
pub mod link_check;
pub mod manifest_check;
pub mod registry_grammar;
pub mod route_check;
