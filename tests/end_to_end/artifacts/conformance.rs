//! The conformance tests of the OCI distribution specification: through the door fails nothing that does not fail at the registry
//! itself, and what the door adds to an older registry passes.

use std::collections::BTreeSet;

use crate::support::tool::Tool;

use super::Sides;

/// Parts of the names of tests that pass through the door whatever registry is behind it.
const ADDED: [&str; 6] = [
    "/referrers",
    "artifacts-with-subject/",
    "index-with-subject/",
    "missing-subject/",
    "invalid-digest-format/",
    "chunked out-of-order",
];

/// The names of the tests that fail at this address.
async fn failures(address: &str) -> BTreeSet<String> {
    let conformance = Tool::brought("conformance").set("OCI_REGISTRY", address).set("OCI_TLS", "disabled");
    let output = conformance.attempt::<&str>(&[]).await;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("  Pass....") && said.contains("OCI Conformance Test"), "{said}");
    let failed = said.lines().filter_map(|line| line.split_once("msg=\"failed test\" name=\""));
    failed.map(|(_, rest)| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_conformance_test_fails_through_the_door_alone() {
    let sides = Sides::new().await;
    sides.compare().await;
    let [alone, behind] = sides.addresses();
    let (of_registry, of_door) = tokio::join!(failures(&alone), failures(&behind));
    let new: Vec<_> = of_door.difference(&of_registry).collect();
    assert!(new.is_empty(), "{new:#?}");
    // Registries of that age know no digests by SHA-512.
    let added = |name: &&String| ADDED.iter().any(|part| name.contains(part)) && !name.contains("sha512");
    let lost: Vec<_> = of_door.iter().filter(added).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}
