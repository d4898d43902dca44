//! The house stands as `src/lib.rs` draws it: no module imports from a floor that its line does not allow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The map in `src/lib.rs`: module to the modules it may use.
fn map() -> BTreeMap<String, BTreeSet<String>> {
    let source = std::fs::read_to_string(source_root().join("lib.rs")).unwrap();
    source
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter_map(|line| line.split_once("  may use  ").or_else(|| line.split_once(" may use  ")))
        .map(|(module, uses)| {
            let uses = uses.split_whitespace().filter(|name| *name != "nothing").map(str::to_owned).collect();
            (module.trim().to_owned(), uses)
        })
        .collect()
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The floor a file belongs to.
fn floor(file: &Path) -> String {
    let below = file.strip_prefix(source_root()).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The floors that a source names by `crate::`, grouped imports included.
fn named(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for after in source.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut name = String::new();
                for character in group.chars() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.extend((!name.is_empty()).then(|| std::mem::take(&mut name)))
                        }
                        _ if depth == 0 && name.ends_with(':') => {}
                        _ if depth == 0 && !character.is_whitespace() => name.push(character),
                        _ => {}
                    }
                }
                found.insert(name);
            }
            None => {
                found.insert(after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
            }
        }
    }
    found.into_iter().map(|name| name.split(':').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn no_module_imports_from_a_floor_that_the_map_does_not_allow() {
    let map = map();
    assert!(map.len() > 8, "the map in lib.rs was not found");
    let mut wrong = Vec::new();
    for file in files(&source_root()) {
        let floor = floor(&file);
        if floor == "lib" || floor == "main" {
            continue;
        }
        let allowed = map.get(&floor).unwrap_or_else(|| panic!("{floor} is missing in the map"));
        let source = std::fs::read_to_string(&file).unwrap();
        // Tests may look further than the code they test.
        let code = source.split("#[cfg(test)]").next().unwrap();
        for name in named(code) {
            if name != floor && map.contains_key(&name) && !allowed.contains(&name) {
                wrong.push(format!("{} uses {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_map_and_the_map_has_no_cycle() {
    let map = map();
    let modules: BTreeSet<String> = files(&source_root()).iter().map(|file| floor(file)).collect();
    let expected: BTreeSet<String> =
        map.keys().cloned().chain(["lib".to_owned(), "main".to_owned()]).collect();
    assert_eq!(modules, expected);
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    while placed.len() < map.len() {
        let next = map.iter().find(|(name, uses)| {
            !placed.contains(name.as_str()) && uses.iter().all(|used| placed.contains(used.as_str()))
        });
        let (name, _) = next.expect("the map has a cycle");
        placed.insert(name);
    }
}

#[test]
fn pingora_and_the_database_stay_where_they_belong() {
    for file in files(&source_root()) {
        let source = std::fs::read_to_string(&file).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        let floor = floor(&file);
        let names = |crate_name: &str| {
            source.contains(&format!("{crate_name}::")) || source.contains(&format!("{crate_name}_"))
        };
        if !["door", "plugins", "server"].contains(&floor.as_str()) {
            for crate_name in ["pingora_core", "pingora_proxy", "pingora_http"] {
                assert!(!names(crate_name), "{} names {crate_name}", file.display());
            }
        }
        if floor != "store" {
            assert!(
                !source.contains("use redb") && !source.contains(" redb::"),
                "{} names redb",
                file.display()
            );
        }
    }
}
