//! What holds for any manifest, shared with the fuzz target. Tests only.

use crate::oci;

#[path = "../../../tests/fuzz/src/manifest_check.rs"]
pub(super) mod manifest_check;
