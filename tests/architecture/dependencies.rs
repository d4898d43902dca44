//! The crates that the door is built from: their licences, their sources, which of them are there in several versions, and
//! whether each is needed.
//!
//! `cargo metadata` tells all of it in a second, where `cargo deny` and `cargo machete` would first have to be compiled for
//! minutes. Known vulnerabilities are not looked at: that takes RustSec's database, which is not on crates.io. Where it can be
//! reached, `cargo deny check advisories` or `cargo audit` does it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::first_segments;
use crate::sources::parse;

/// Licences that may stand in the door, which itself is under Apache-2.0: none asks more than that its text is kept.
const LICENCES: [&str; 11] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are there in several versions, by the reason. The list is exact: a new one asks for a look, and one that is
/// gone is taken off.
const SEVERAL_VERSIONS: [(&str, &[&str]); 5] = [
    (
        "pingora 0.9 stays with older versions of these, and of what these use",
        &[
            "asn1-rs",
            "asn1-rs-derive",
            "blake2",
            "block-buffer",
            "crypto-common",
            "der-parser",
            "digest",
            "getrandom",
            "hashbrown",
            "heck",
            "indexmap",
            "oid-registry",
            "openssl-probe",
            "rand",
            "rand_chacha",
            "rand_core",
            "rustls-native-certs",
            "syn",
            "synstructure",
            "thiserror",
            "thiserror-impl",
            "x509-parser",
        ],
    ),
    ("jsonwebtoken 11 is written for signature 2, rsa 0.10 for signature 3", &["signature"]),
    ("jsonwebtoken and metrics-exporter-prometheus have not moved to base64 0.23 yet", &["base64"]),
    ("rcgen writes DER with yasna, which stays with an older version than proptest", &["bit-vec"]),
    ("tokio-postgres-rustls reads certificates with x509-cert 0.2", &["const-oid", "der", "spki"]),
];

/// What cargo knows of everything that the door is built from on this platform.
fn metadata() -> (Value, BTreeSet<String>) {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let used = nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
    (metadata, used)
}

/// The packages that are used, as cargo knows them.
fn packages() -> Vec<Value> {
    let (metadata, used) = metadata();
    let all = metadata["packages"].as_array().unwrap().iter();
    let packages: Vec<Value> =
        all.filter(|package| used.contains(package["id"].as_str().unwrap())).cloned().collect();
    assert!(packages.len() > 100, "the packages were not found");
    packages
}

/// Whether an expression (SPDX, and the older slash for OR) can be fulfilled by these licences alone.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    // Split at the outermost OR, and where there is none, at the outermost AND.
    for operator in ["OR", "AND"] {
        let mut parts = vec![String::new()];
        let mut depth = 0_usize;
        for word in expression.split_whitespace() {
            if depth == 0 && word == operator {
                parts.push(String::new());
                continue;
            }
            depth = (depth + word.matches('(').count()).saturating_sub(word.matches(')').count());
            if let Some(part) = parts.last_mut() {
                part.push_str(word);
                part.push(' ');
            }
        }
        if parts.len() > 1 {
            let mut parts = parts.iter().map(|part| is_allowed(part));
            return if operator == "OR" { parts.any(|part| part) } else { parts.all(|part| part) };
        }
    }
    match expression.trim().strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => LICENCES.contains(&expression.trim()),
    }
}

#[test]
fn an_expression_is_fulfilled_by_one_side_of_or_and_both_sides_of_and() {
    for allowed in
        ["MIT", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND Zlib", "MIT/GPL-3.0", "(MIT OR X) AND (ISC)"]
    {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in ["GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR X) AND MIT", "", "MIT AND (X OR GPL-3.0)"] {
        assert!(!is_allowed(refused), "{refused}");
    }
}

#[test]
fn every_crate_is_from_the_public_registry_and_under_a_licence_that_the_door_may_carry() {
    for package in packages() {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or_default());
        assert!(is_allowed(licence), "{name} is under {licence:?}");
        let is_public = package["source"] == "registry+https://github.com/rust-lang/crates.io-index";
        assert!(is_public || name == env!("CARGO_PKG_NAME"), "{name} comes from {}", package["source"]);
    }
}

#[test]
fn crates_in_several_versions_are_those_with_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().insert(text("version"));
    }
    let several = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let several: BTreeSet<&str> = several.map(|(name, _)| name.as_str()).collect();
    let reasoned = SEVERAL_VERSIONS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    assert_eq!(several, reasoned);
}

#[test]
fn every_dependency_is_named_in_the_sources() {
    let packages = packages();
    let own = packages.iter().find(|package| package["name"] == env!("CARGO_PKG_NAME")).unwrap();
    let crates = [parse("lib.rs"), parse("main.rs")];
    let modules = crates.iter().flat_map(|modules| modules.values());
    let named: BTreeSet<&str> = modules.flat_map(first_segments).collect();
    for dependency in own["dependencies"].as_array().unwrap() {
        let name = dependency["name"].as_str().unwrap();
        if dependency["kind"].is_null() {
            assert!(named.contains(name.replace('-', "_").as_str()), "nothing in src/ names {name}");
        }
    }
}

#[test]
fn the_image_is_built_by_the_version_of_rust_that_the_crate_declares() {
    let dockerfile = include_str!("../../Dockerfile");
    let image = format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(dockerfile.lines().any(|line| line.starts_with(&image)), "Dockerfile has no {image}");
}
