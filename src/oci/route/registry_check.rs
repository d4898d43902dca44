//! The registry's side of the comparison, shared with the fuzz target. Tests only.

use crate::oci;

#[path = "../../../tests/fuzz/src/registry_grammar.rs"]
pub(super) mod registry_grammar;
#[path = "../../../tests/fuzz/src/route_check.rs"]
pub(super) mod route_check;
